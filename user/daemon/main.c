// SPDX-License-Identifier: GPL-2.0-only
/*
 * ovltreed - commits the requests of many processes in batches
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "daemon.h"

/**
 * struct options - what was said
 * @config: path of the configuration file
 * @given: it was named, so it has to be there
 * @check: read it, and no more
 * @verbose: log as with log_level = debug
 */
struct options {
	const char *config;
	bool given;
	bool check;
	bool verbose;
};

/**
 * struct loop - what is waited for
 * @server: the service
 * @options: what was said
 * @signals: signalfd(2)
 * @timer: timerfd(2), which ticks once a second or as the watchdog wants it
 * @metrics_due: when the metrics are to be written
 * @stop: a signal has asked for the end
 */
struct loop {
	struct server *server;
	const struct options *options;
	int signals;
	int timer;
	uint64_t metrics_due;
	bool stop;
};

static void help(void)
{
	puts("Usage: ovltreed [-tv] [-c FILE]\n"
	     "\n"
	     "  -c, --config FILE  the configuration, instead of " CONFIG_FILE
	     "\n"
	     "  -t, --test         read the configuration, and no more\n"
	     "  -v, --verbose      log everything\n"
	     "  -h, --help         show this\n"
	     "  -V, --version      show the version\n"
	     "\n"
	     "It stays in the foreground. SIGHUP has it read the configuration again.\n"
	     "\n"
	     "Exit status: 0 it was told to end, 1 it failed, 2 usage or configuration,\n"
	     "3 another daemon serves this network namespace.");
}

static int parse(struct options *options, int argc, char *argv[])
{
	static const struct option long_options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "test", no_argument, NULL, 't' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "c:tvhV", long_options, NULL)) !=
	       -1) {
		switch (opt) {
		case 'c':
			options->config = optarg;
			options->given = true;
			break;
		case 't':
			options->check = true;
			break;
		case 'v':
			options->verbose = true;
			break;
		case 'h':
			help();
			exit(EXIT_SUCCESS);
		case 'V':
			puts("ovltreed " OVLT_VERSION);
			exit(EXIT_SUCCESS);
		default:
			return EXIT_USAGE;
		}
	}
	if (optind == argc)
		return 0;
	fprintf(stderr, "ovltreed: it takes no arguments\n");
	return EXIT_USAGE;
}

static int load_config(const struct options *options, struct config *config)
{
	char why[2 * PATH_MAX];

	if (config_load(config, options->config, !options->given, why,
			sizeof(why))) {
		log_msg(LOG_ERR, "%s", why);
		return EXIT_USAGE;
	}
	log_level = options->verbose ? LOG_DEBUG : (int)config->log_level;
	return 0;
}

/* A configuration that is wrong leaves the old one in force. */
static void reload(struct loop *loop)
{
	notify("RELOADING=1\nMONOTONIC_USEC=%llu",
	       (unsigned long long)now_ns() / 1000);
	if (!load_config(loop->options, &loop->server->config))
		log_msg(LOG_NOTICE, "the configuration has been read again");
	loop->metrics_due = 0;
	notify("READY=1");
}

static void take_signal(struct loop *loop)
{
	struct signalfd_siginfo info;

	if (read(loop->signals, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGHUP)
		reload(loop);
	else
		loop->stop = true;
}

static void report(struct loop *loop)
{
	const struct server *server = loop->server;
	const struct metrics *metrics = &server->metrics;

	if (!server->kernel)
		notify("WATCHDOG=1\nSTATUS=Waiting for the module");
	else
		notify("WATCHDOG=1\nSTATUS=%llu requests in %llu batches, %zu wait",
		       (unsigned long long)(metrics->done[0] +
					    metrics->done[1]),
		       (unsigned long long)(metrics->batches[0] +
					    metrics->batches[1]),
		       server->queue.nr);
}

/* Returns an exit status. */
static int tick(struct loop *loop)
{
	struct server *server = loop->server;
	uint64_t now = now_ns();
	uint64_t expirations;
	int status;

	if (read(loop->timer, &expirations, sizeof(expirations)) < 0)
		return 0;
	status = server_tick(server);
	report(loop);
	if (now >= loop->metrics_due) {
		server_write_metrics(server);
		loop->metrics_due =
			now + server->config.metrics_interval_s * NS_PER_S;
	}
	return status;
}

/* Twice as often as the watchdog wants to hear of us. */
static int make_timer(void)
{
	uint64_t interval = notify_watchdog() / 2;
	struct itimerspec spec;
	int fd;

	if (!interval || interval > NS_PER_S)
		interval = NS_PER_S;
	spec.it_interval.tv_sec = interval / NS_PER_S;
	spec.it_interval.tv_nsec = interval % NS_PER_S;
	spec.it_value = spec.it_interval;
	fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (fd >= 0)
		timerfd_settime(fd, 0, &spec, NULL);
	return fd;
}

static int make_signals(void)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGHUP);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGTERM);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	return signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Wait for something to happen, or for the next batch to be due. */
static void wait_for(struct loop *loop, struct pollfd fds[3])
{
	uint64_t due = server_due(loop->server), now = now_ns();
	uint64_t left = due > now ? due - now : 0;
	struct timespec timeout = { left / NS_PER_S, left % NS_PER_S };

	fds[0] = (struct pollfd){ .fd = loop->signals, .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = loop->timer, .events = POLLIN };
	fds[2] = (struct pollfd){ .fd = server_fd(loop->server),
				  .events = POLLIN };
	if (ppoll(fds, 3, due == UINT64_MAX ? NULL : &timeout, NULL) < 0)
		for (int i = 0; i < 3; i++)
			fds[i].revents = 0;
}

static int run(struct loop *loop)
{
	struct pollfd fds[3];
	int status = 0;

	while (!loop->stop && !status) {
		wait_for(loop, fds);
		if (fds[0].revents)
			take_signal(loop);
		if (fds[2].revents)
			server_read(loop->server);
		if (fds[1].revents)
			status = tick(loop);
		if (server_due(loop->server) <= now_ns())
			server_commit(loop->server);
	}
	/* Nobody is to wait for a deadline because we were told to end. */
	server_read(loop->server);
	while (loop->server->kernel && loop->server->queue.nr)
		if (server_commit(loop->server))
			break;
	return status;
}

int main(int argc, char *argv[])
{
	struct options options = { .config = CONFIG_FILE };
	struct server server = { 0 };
	struct loop loop = { .server = &server, .options = &options };
	int status = parse(&options, argc, argv);

	if (!status)
		status = load_config(&options, &server.config);
	if (status || options.check)
		return status;
	loop.signals = make_signals();
	loop.timer = make_timer();
	if (loop.signals < 0 || loop.timer < 0) {
		log_msg(LOG_ERR, "%s", strerror(errno));
		return EXIT_FAIL;
	}
	status = server_open(&server);
	if (!status) {
		log_msg(LOG_NOTICE, "serving, %zu requests wait",
			server.queue.nr);
		notify("READY=1");
		status = run(&loop);
		notify("STOPPING=1");
		server_close(&server);
		server_write_metrics(&server);
	}
	close(loop.signals);
	close(loop.timer);
	return status;
}
