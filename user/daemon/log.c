// SPDX-License-Identifier: GPL-2.0-only
/*
 * Messages go to standard error, a line each. The journal takes their priority
 * from the beginning of the line.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <syslog.h>
#include <time.h>

#include "daemon.h"

int log_level = LOG_INFO;

void log_msg(int priority, const char *fmt, ...)
{
	char message[512];
	va_list ap;

	if (priority > log_level)
		return;
	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	if (getenv("JOURNAL_STREAM"))
		fprintf(stderr, "<%d>%s\n", priority, message);
	else
		fprintf(stderr, "ovltreed: %s\n", message);
}

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NS_PER_S + now.tv_nsec;
}
