/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What quotes and backslashes mean in options of mount(8), for the library and the
 * programs. All of it works in place.
 */
#ifndef QUOTING_H
#define QUOTING_H

#include <stdbool.h>
#include <string.h>

/* Cuts the first part off, at a separator without a backslash; a comma, outside quotes. */
static inline char *quoting_next(char **rest, char separator)
{
	char *part = *rest;
	bool quoted = false;
	char *p;

	for (p = part; *p && (quoted || *p != separator); p++) {
		if (*p == '"' && separator == ',')
			quoted = !quoted;
		else if (*p == '\\' && p[1])
			p++;
	}
	*rest = *p ? p + 1 : NULL;
	*p = '\0';
	return part;
}

/* Only quotes around the whole value are syntax. */
static inline char *quoting_strip(char *value)
{
	size_t len = strlen(value);

	if (len >= 2 && value[0] == '"' && value[len - 1] == '"') {
		value[len - 1] = '\0';
		memmove(value, value + 1, len - 1);
	}
	return value;
}

/* As overlayfs does: a backslash takes away the meaning of what follows. */
static inline char *quoting_unescape(char *text)
{
	char *d = text;

	for (const char *s = text; *s; s++) {
		if (*s == '\\' && s[1])
			s++;
		*d++ = *s;
	}
	*d = '\0';
	return text;
}

#endif /* QUOTING_H */
