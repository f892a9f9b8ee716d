// SPDX-License-Identifier: GPL-2.0-only
/*
 * Id maps in the syntax of mount(8). What the library takes has to be what the
 * manual says, which is written down here a second time.
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "fuzz.h"

/* A number of 32 bits, and what follows it; NULL if it is none. */
static const char *number(const char *text, unsigned long long *value)
{
	size_t digits = 0;

	for (*value = 0; isdigit((unsigned char)text[digits]); digits++)
		*value = *value * 10 + text[digits] - '0';
	return digits && digits <= 10 && *value <= UINT32_MAX ? text + digits :
								NULL;
}

static bool is_range(const char *word)
{
	unsigned long long value = 0;

	if (*word && strchr("ugb", *word) && word[1] == ':')
		word += 2;
	for (int i = 0; i < 3; i++) {
		if (i && *word++ != ':')
			return false;
		word = number(word, &value);
		if (!word)
			return false;
	}
	return !*word && value;
}

static bool is_map(const char *text)
{
	char *copy = strdup(text), *rest = NULL, *word;
	bool good = true;
	size_t nr = 0;

	CHECK(copy);
	for (word = strtok_r(copy, " ", &rest); word && good;
	     word = strtok_r(NULL, " ", &rest), nr++)
		good = is_range(word);
	free(copy);
	return good && nr;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);
	int err;

	CHECK(text);
	/* Neither is a namespace opened nor one made. */
	fuzz_begin();
	err = ovlt_userns_parse(text);
	fuzz_end();
	if (text[0] == '/')
		CHECK(err == -EACCES);
	else
		CHECK(err == (is_map(text) ? -EPERM : -EINVAL));
	free(text);
	return 0;
}
