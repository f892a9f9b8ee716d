// SPDX-License-Identifier: GPL-2.0
/*
 * What no daemon can do without: for each container a request to a process that
 * sleeps, and its answer, with nothing done between them.
 */
#include <err.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

static int ends[2];
static pid_t server;

static bool available(void)
{
	return true;
}

/* As who has more than one thing to wait for. */
static void receive(int fd, char *byte)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	if (poll(&pollfd, 1, -1) != 1 || recv(fd, byte, 1, 0) != 1)
		err(1, "no answer");
}

static void start(const struct world *world)
{
	char byte;

	(void)world;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		err(1, "socketpair");
	server = fork();
	if (server < 0)
		err(1, "fork");
	while (!server) {
		receive(ends[1], &byte);
		if (send(ends[1], &byte, 1, 0) != 1)
			err(1, "send");
	}
}

static void stop(void)
{
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	close(ends[0]);
	close(ends[1]);
}

static void ask(const struct share *share)
{
	char byte = 0;
	unsigned int i;

	for (i = 0; i < share->nr; i++) {
		if (COUNT(send(ends[0], &byte, 1, 0)) != 1)
			err(1, "send");
		receive(ends[0], &byte);
	}
}

const struct peer peer_round_trip = {
	.name = "round-trip",
	.bare = true,
	.independent = true,
	.available = available,
	.open = start,
	.close = stop,
	.attach = ask,
	.detach = ask,
};
