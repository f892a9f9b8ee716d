// SPDX-License-Identifier: GPL-2.0-only
/*
 * ovltreed's configuration file. What is taken is within bounds, and can be written
 * down so that it is taken again as the same; what is refused changes nothing.
 */
#include <errno.h>
#include <string.h>
#include <syslog.h>

#include "daemon/daemon.h"
#include "fuzz.h"

static const char *level(unsigned int level)
{
	switch (level) {
	case LOG_ERR:
		return "error";
	case LOG_WARNING:
		return "warning";
	case LOG_NOTICE:
		return "notice";
	case LOG_INFO:
		return "info";
	default:
		CHECK(level == LOG_DEBUG);
		return "debug";
	}
}

static void check(const struct config *config)
{
	size_t len = strnlen(config->metrics_file, PATH_MAX);

	CHECK(config->batch_max >= 1 && config->batch_max <= 1024);
	CHECK(config->interval_ms <= 10000);
	CHECK(config->age_ms >= 1 && config->age_ms <= 60000);
	CHECK(config->hold_max_us <= 10000000);
	CHECK(config->load_module <= 1);
	CHECK(config->metrics_interval_s >= 1 &&
	      config->metrics_interval_s <= 3600);
	CHECK(len + sizeof(".new") <= PATH_MAX);
	CHECK(!len || config->metrics_file[0] == '/');
}

static void check_again(const struct config *config)
{
	char text[PATH_MAX + 512], why[64] = "";
	struct config again;

	config_init(&again);
	snprintf(text, sizeof(text),
		 "batch_max=%u\ninterval_ms=%u\nage_ms=%u\nhold_max_us=%u\n"
		 "load_module=%s\nlog_level=%s\nmetrics_interval_s=%u\n"
		 "metrics_file=%s\n",
		 config->batch_max, config->interval_ms, config->age_ms,
		 config->hold_max_us, config->load_module ? "yes" : "no",
		 level(config->log_level), config->metrics_interval_s,
		 config->metrics_file);
	CHECK(!config_parse(&again, text, why, sizeof(why)));
	CHECK(again.batch_max == config->batch_max);
	CHECK(again.interval_ms == config->interval_ms);
	CHECK(again.age_ms == config->age_ms);
	CHECK(again.hold_max_us == config->hold_max_us);
	CHECK(again.load_module == config->load_module);
	CHECK(again.log_level == config->log_level);
	CHECK(again.metrics_interval_s == config->metrics_interval_s);
	CHECK(!strcmp(again.metrics_file, config->metrics_file));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size), why[64] = "";
	struct config config, before;
	int err;

	CHECK(text);
	memset(&config, 0, sizeof(config));
	config_init(&config);
	before = config;
	err = config_parse(&config, text, why, sizeof(why));
	CHECK(!err || err == -EINVAL);
	CHECK(!err == !why[0]);
	CHECK(strnlen(why, sizeof(why)) < sizeof(why));
	if (err)
		CHECK(!memcmp(&before, &config, sizeof(config)));
	check(&config);
	check_again(&config);
	free(text);
	return 0;
}
