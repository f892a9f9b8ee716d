// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs a fuzzer over a corpus, each input a test: replay FOLDER.
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "fuzz.h"

static size_t read_input(const char *folder, const char *name, uint8_t *data,
			 size_t size)
{
	char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "re");
	CHECK(file);
	size = fread(data, 1, size, file);
	fclose(file);
	return size;
}

int main(int argc, char *argv[])
{
	static uint8_t data[1 << 20];
	const char *folder = argc == 2 ? argv[1] : "";
	DIR *dir = opendir(folder);
	unsigned int nr = 0;
	struct dirent *entry;

	if (!dir) {
		perror(folder);
		return EXIT_FAILURE;
	}
	puts("TAP version 13");
	while ((entry = readdir(dir))) {
		size_t size;

		if (entry->d_name[0] == '.')
			continue;
		size = read_input(folder, entry->d_name, data, sizeof(data));
		/* An input that kills us is to be known by its name. */
		printf("# %s\n", entry->d_name);
		fflush(stdout);
		LLVMFuzzerTestOneInput(data, size);
		printf("ok %u - replay %s\n", ++nr, entry->d_name);
	}
	closedir(dir);
	printf("1..%u\n# %u passed, 0 failed, 0 skipped\n", nr, nr);
	return nr ? EXIT_SUCCESS : EXIT_FAILURE;
}
