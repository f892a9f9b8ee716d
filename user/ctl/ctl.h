/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the subcommands of ovltreectl share.
 */
#ifndef CTL_H
#define CTL_H

#include <getopt.h>
#include <stdbool.h>

#include "common/common.h"
#include "libovltree.h"

/* As mount(8) has them. */
#define EXIT_USAGE 1
#define EXIT_FAIL 32
#define EXIT_SOMEOK 64

/**
 * struct ctl - what was said before the subcommand, or can be said after it too
 * @backend: name of the backend, NULL is the first that works
 * @json: results go to standard output as JSON
 * @submit: how requests to the daemon are submitted
 * @verbose: the library's messages go to standard error
 * @ctx: made by ctl_open()
 */
struct ctl {
	const char *backend;
	bool json;
	bool verbose;
	struct ovlt_submit_options submit;
	struct ovlt_ctx *ctx;
};

/* Values that no letter has. */
enum {
	OPT_BACKEND = 256,
	OPT_JSON,
	OPT_ALL,
	OPT_FSTAB,
	OPT_FORCE,
	OPT_ID,
	OPT_THREADS,
	OPT_SUBMIT,
	OPT_NAME,
	OPT_PRIORITY,
	OPT_DEADLINE,
	OPT_REFUSED,
	OPT_WAIT,
	OPT_BUFFER,
	OPT_LIST,
};

/* clang-format off */
#define CTL_OPTIONS						\
	{ "backend", required_argument, NULL, OPT_BACKEND },	\
	{ "json", no_argument, NULL, OPT_JSON },		\
	{ "verbose", no_argument, NULL, 'v' },			\
	{ "help", no_argument, NULL, 'h' }

#define CTL_SUBMIT_OPTIONS						\
	{ "submit", no_argument, NULL, OPT_SUBMIT },			\
	{ "name", required_argument, NULL, OPT_NAME },			\
	{ "priority", required_argument, NULL, OPT_PRIORITY },		\
	{ "deadline", required_argument, NULL, OPT_DEADLINE },		\
	{ "refused", required_argument, NULL, OPT_REFUSED },		\
	{ "wait", required_argument, NULL, OPT_WAIT }
/* clang-format on */

int ctl_option(struct ctl *ctl, int opt);
int ctl_number(const char *text, unsigned long max, unsigned int *number);
int ctl_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
int ctl_open(struct ctl *ctl);
int ctl_fail(struct ctl *ctl, int err);
int ctl_fail_why(struct ctl *ctl, int err, const char *why);

/**
 * struct ctl_entry - an entry as the user sees it
 * @name: the target, or the id
 * @index: of the entry in the batch, or negative when it didn't get so far
 * @result: what became of it
 * @message: memory for the result's message when it didn't get so far
 */
struct ctl_entry {
	char *name;
	int index;
	struct ovlt_result result;
	char message[OVLTREE_MESSAGE_MAX];
};

int ctl_report(struct ctl *ctl, const struct ovlt_batch *batch,
	       struct ctl_entry *entries, size_t nr);

struct cJSON;
struct ovlt_queue;

struct ovlt_queue *ctl_open_queue(struct ctl *ctl, unsigned int flags);
int ctl_fail_queue(struct ctl *ctl, const struct ovlt_queue *queue, int err);
struct cJSON *ctl_identity_json(const struct ovlt_request *request);
struct cJSON *ctl_request_json(const struct ovlt_request *request);
void ctl_print_request(const struct ovlt_request *request);

void ctl_print_json(struct cJSON *json);
void ctl_print_json_line(struct cJSON *json);
void ctl_add_result(struct cJSON *json, const struct ovlt_result *result);
void ctl_add_u64(struct cJSON *json, const char *name, uint64_t value);

int cmd_attach(struct ctl *ctl, int argc, char *argv[]);
int cmd_detach(struct ctl *ctl, int argc, char *argv[]);
int cmd_doctor(struct ctl *ctl, int argc, char *argv[]);
int cmd_info(struct ctl *ctl, int argc, char *argv[]);
int cmd_layerset(struct ctl *ctl, int argc, char *argv[]);
int cmd_list(struct ctl *ctl, int argc, char *argv[]);
int cmd_metrics(struct ctl *ctl, int argc, char *argv[]);
int cmd_monitor(struct ctl *ctl, int argc, char *argv[]);
int cmd_queue(struct ctl *ctl, int argc, char *argv[]);
int cmd_stats(struct ctl *ctl, int argc, char *argv[]);

#endif /* CTL_H */
