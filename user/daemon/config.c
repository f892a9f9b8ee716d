// SPDX-License-Identifier: GPL-2.0-only
/*
 * The configuration file: lines "key = value", remarks begin with "#".
 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "daemon.h"

static const char *const levels[] = {
	[LOG_ERR] = "error", [LOG_WARNING] = "warning", [LOG_NOTICE] = "notice",
	[LOG_INFO] = "info", [LOG_DEBUG] = "debug",
};

enum type {
	TYPE_NUMBER,
	TYPE_BOOL,
	TYPE_LEVEL,
	TYPE_PATH,
};

static const struct setting {
	const char *key;
	enum type type;
	size_t offset;
	unsigned int min;
	unsigned int max;
} settings[] = {
	{ "batch_max", TYPE_NUMBER, offsetof(struct config, batch_max), 1,
	  1024 },
	{ "interval_ms", TYPE_NUMBER, offsetof(struct config, interval_ms), 0,
	  10000 },
	{ "age_ms", TYPE_NUMBER, offsetof(struct config, age_ms), 1, 60000 },
	{ "hold_max_us", TYPE_NUMBER, offsetof(struct config, hold_max_us), 0,
	  10000000 },
	{ "load_module", TYPE_BOOL, offsetof(struct config, load_module), 0,
	  0 },
	{ "log_level", TYPE_LEVEL, offsetof(struct config, log_level), 0, 0 },
	{ "metrics_interval_s", TYPE_NUMBER,
	  offsetof(struct config, metrics_interval_s), 1, 3600 },
	{ "metrics_file", TYPE_PATH, offsetof(struct config, metrics_file), 0,
	  0 },
};

#define NR_SETTINGS (sizeof(settings) / sizeof(settings[0]))

void config_init(struct config *config)
{
	*config = (struct config){
		.batch_max = 256,
		.interval_ms = 10,
		.age_ms = 200,
		.hold_max_us = 5000,
		.load_module = true,
		.log_level = LOG_INFO,
		.metrics_interval_s = 15,
	};
}

static int fail(char *why, size_t size, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(char *why, size_t size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, size, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

static int parse_number(const struct setting *setting, const char *value,
			unsigned int *out, char *why, size_t size)
{
	unsigned long number;
	char *end;

	errno = 0;
	number = strtoul(value, &end, 10);
	if (!isdigit((unsigned char)value[0]) || *end || errno)
		return fail(why, size, "%s: \"%s\" is not a number",
			    setting->key, value);
	if (number < setting->min || number > setting->max)
		return fail(why, size, "%s: %s is not in %u to %u",
			    setting->key, value, setting->min, setting->max);
	*out = number;
	return 0;
}

static int parse_bool(const struct setting *setting, const char *value,
		      unsigned int *out, char *why, size_t size)
{
	*out = !strcmp(value, "yes");
	if (*out || !strcmp(value, "no"))
		return 0;
	return fail(why, size, "%s: \"%s\" is neither yes nor no", setting->key,
		    value);
}

static int parse_level(const struct setting *setting, const char *value,
		       unsigned int *out, char *why, size_t size)
{
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		if (!levels[i] || strcmp(value, levels[i]))
			continue;
		*out = i;
		return 0;
	}
	return fail(why, size,
		    "%s: \"%s\" is none of error, warning, notice, info, debug",
		    setting->key, value);
}

static int parse_path(const struct setting *setting, const char *value,
		      char *out, char *why, size_t size)
{
	if (value[0] && value[0] != '/')
		return fail(why, size, "%s: \"%s\" is not an absolute path",
			    setting->key, value);
	/* Room for the suffix of the file that is renamed to it. */
	if (strlen(value) + sizeof(".new") > PATH_MAX)
		return fail(why, size, "%s: the path is too long",
			    setting->key);
	strcpy(out, value);
	return 0;
}

static int parse_value(struct config *config, const struct setting *setting,
		       const char *value, char *why, size_t size)
{
	void *out = (char *)config + setting->offset;

	switch (setting->type) {
	case TYPE_NUMBER:
		return parse_number(setting, value, out, why, size);
	case TYPE_BOOL:
		return parse_bool(setting, value, out, why, size);
	case TYPE_LEVEL:
		return parse_level(setting, value, out, why, size);
	case TYPE_PATH:
		return parse_path(setting, value, out, why, size);
	}
	return -EINVAL;
}

/* Without the blanks around it. */
static char *strip(char *text)
{
	char *end = text + strlen(text);

	while (end > text && isspace((unsigned char)end[-1]))
		*--end = '\0';
	while (isspace((unsigned char)*text))
		text++;
	return text;
}

static int parse_line(struct config *config, char *line, char *why, size_t size)
{
	char *key = strip(line);
	char *value = strchr(key, '=');

	if (!key[0] || key[0] == '#')
		return 0;
	if (!value)
		return fail(why, size, "\"%s\" is not \"key = value\"", key);
	*value++ = '\0';
	key = strip(key);
	value = strip(value);
	for (size_t i = 0; i < NR_SETTINGS; i++)
		if (!strcmp(key, settings[i].key))
			return parse_value(config, &settings[i], value, why,
					   size);
	return fail(why, size, "there is no setting \"%s\"", key);
}

/* Changes @config only when all of @text is right. */
int config_parse(struct config *config, const char *text, char *why,
		 size_t size)
{
	char *copy = strdup(text);
	struct config parsed = *config;
	char reason[PATH_MAX + 128];
	char *rest = copy, *line;
	unsigned int nr = 0;
	int err = copy ? 0 : -ENOMEM;

	if (err)
		fail(why, size, "%s", strerror(-err));
	while (!err && (line = strsep(&rest, "\n"))) {
		nr++;
		err = parse_line(&parsed, line, reason, sizeof(reason));
		if (err)
			fail(why, size, "line %u: %s", nr, reason);
	}
	free(copy);
	if (!err)
		*config = parsed;
	return err;
}

/* Settings that the file doesn't have get their defaults. */
int config_load(struct config *config, const char *path, bool optional,
		char *why, size_t size)
{
	char reason[PATH_MAX + 192];
	struct config parsed;
	char *text = NULL;
	size_t room = 0;
	ssize_t len = -1;
	FILE *file;
	int err = 0;

	config_init(&parsed);
	file = fopen(path, "re");
	if (!file && errno == ENOENT && optional) {
		*config = parsed;
		return 0;
	}
	if (file)
		len = getdelim(&text, &room, '\0', file);
	if (!file || (len < 0 && !feof(file))) {
		err = -errno;
		fail(why, size, "%s: %s", path, strerror(errno));
	} else if (len > 0 && !text[len - 1]) {
		/* What follows it would be ignored. */
		err = fail(why, size, "%s: there is a zero byte in it", path);
	} else {
		err = config_parse(&parsed, len < 0 ? "" : text, reason,
				   sizeof(reason));
		if (err)
			fail(why, size, "%s: %s", path, reason);
		else
			*config = parsed;
	}
	if (file)
		fclose(file);
	free(text);
	return err;
}
