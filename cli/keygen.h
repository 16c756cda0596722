/* cli, inside - what keygen's parts share. Uses: ca, os. */
#ifndef CLI_KEYGEN_H
#define CLI_KEYGEN_H
#include "ca/ca.h"
#include "cli/cli.h"

enum { CLI_KEY_TEXT_MAX = 16384, CLI_LEAF_DAYS = 365, CLI_TOKEN_DAYS = 1825, CLI_COMMON_NAME_MAX = 64 };

enum cli_keyfolder { CLI_F_UNIVERSE, CLI_F_C2 };
enum cli_keyform { CLI_K_KEY, CLI_K_CERT, CLI_K_TEXT, CLI_K_TOKEN };
struct cli_keyfile {
	enum cli_keyfolder folder;
	const char *name;
	enum cli_keyform form;
	enum ca_access access;
	const char *purpose, *paper;
};
/* Rows of keyfiles.def: i from 0 until NULL. */
const struct cli_keyfile *cli_keyfile_at(size_t i);

/* A folder in the making: it gets its name only when all of it is there. */
struct cli_making {
	char target[CLI_PATH_MAX], temp[CLI_PATH_MAX];
	enum cli_keyfolder folder;
	enum hf_err err; /* the first failure; later calls do nothing */
};
/* Refuses with a sentence when the target holds anything. */
enum cli_exit cli_making_begin(struct cli_making *m, const char *target, enum cli_keyfolder folder);
/* Writes one file with the access of its row. */
void cli_making_put(struct cli_making *m, const char *name, struct hf_span content);
/* Writes the MANIFEST and gives the folder its name, or takes everything away again and says why. */
enum cli_exit cli_making_end(struct cli_making *m);
/* Every host of --name, then the local names that are not among them. Returns how many. */
size_t cli_keygen_hosts(const struct cli_args *a, const char *host[CA_HOSTS_MAX]);
/* What the list of files says in words, for MANIFEST. */
void cli_manifest(enum cli_keyfolder folder, struct hf_wr *out);

#endif
