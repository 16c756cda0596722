/* airmonitor - what an operator wishes of a device that runs: resign, deregister, rejoin. Uses: base node port/posix. */
#include "devices/airmonitor/airmonitor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_MS = 5000 };

struct wish_row {
	const char *word;
	enum hf_err (*fulfil)(struct hf_node *n, int64_t now_ms);
};
static const struct wish_row wishes[] = {
	{"resign", hf_node_resign},
	{"deregister", hf_node_deregister},
	{"rejoin", hf_node_rejoin},
};

static const char taken[] = "taken";

void airmonitor_wish_take(struct hf_posix_store *store, struct hf_node *node)
{
	struct hf_posix_word word;
	enum hf_err err = HF_E_USAGE;

	if (!hf_posix_wish_look(store, &word))
		return;
	for (size_t i = 0; i < sizeof wishes / sizeof wishes[0]; i++)
		if (strcmp(wishes[i].word, word.text) == 0)
			err = wishes[i].fulfil(node, hf_posix_now_ms());
	hf_posix_wish_answer(store, err == HF_E_OK ? taken : hf_err_text(err));
}

int airmonitor_wish_leave(const struct airmonitor_options *options)
{
	const char *wish = options->wish, *dir = options->data;
	struct hf_posix_word answer = {""};
	enum hf_err err = hf_posix_wish_leave(dir, wish, ANSWER_MS, &answer);

	if (err == HF_E_OK && strcmp(answer.text, taken) == 0) {
		(void)printf("%s: taken by the airmonitor that runs on %s; its output tells when it is done\n", wish, dir);
		return EXIT_SUCCESS;
	}
	if (err == HF_E_STATE) {
		(void)printf("%s: nobody runs on %s; the next start of airmonitor does it\n", wish, dir);
		return EXIT_SUCCESS;
	}
	if (err == HF_E_OK)
		(void)fprintf(stderr, "airmonitor: %s is refused: %s\n", wish, answer.text);
	else if (err == HF_E_EXPIRED)
		(void)fprintf(stderr, "airmonitor: the one that runs on %s does not answer; it will %s once it does\n", dir,
		              wish);
	else if (err == HF_E_NOT_FOUND)
		(void)fprintf(stderr, "airmonitor: %s holds no device\n", dir);
	else
		(void)fprintf(stderr, "airmonitor: cannot write in %s: %s\n", dir, hf_err_text(err));
	return EXIT_FAILURE;
}
