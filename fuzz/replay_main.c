/* replay - runs a fuzz target over the files of a corpus folder, each whole and cut short. Uses: stdio, dirent. */
#include "fuzz/fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

enum { INPUT_MAX = 1 << 20, CUTS = 64 };

/* A buffer of exactly that size, so that a sanitizer sees a read past the end. */
static int feed(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size > 0 ? size : 1);

	if (!copy)
		return -1;
	for (size_t i = 0; i < size; i++)
		copy[i] = data[i];
	(void)LLVMFuzzerTestOneInput(copy, size);
	free(copy);
	return 0;
}

static int replay(const char *folder, const char *name)
{
	static uint8_t data[INPUT_MAX];
	char path[4096];
	int bad = snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path;
	FILE *file = bad ? NULL : fopen(path, "rb");

	if (!file) {
		printf("cannot open %s/%s\n", folder, name);
		return -1;
	}
	size_t size = fread(data, 1, sizeof data, file), step = size / CUTS + 1;

	(void)fclose(file);
	bad = feed(data, size);
	for (size_t cut = 0; cut < size && bad == 0; cut += step)
		bad = feed(data, cut);
	return bad;
}

/* Whatever is wrong with the input aborts or trips a sanitizer; an empty corpus is a failure as well. */
int main(int argc, char **argv)
{
	DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
	unsigned inputs = 0, failed = 0;

	for (struct dirent *entry; folder && (entry = readdir(folder));) {
		if (entry->d_name[0] == '.')
			continue;
		inputs++;
		failed += replay(argv[1], entry->d_name) != 0;
	}
	if (folder)
		(void)closedir(folder);
	if (inputs == 0)
		printf("no input in %s\n", argc == 2 ? argv[1] : "(no folder named)");
	failed += inputs == 0;
	printf("%u inputs replayed\n%u passed, %u failed\n", inputs, failed == 0, failed != 0);
	return failed != 0;
}
