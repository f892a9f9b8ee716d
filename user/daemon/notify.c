// SPDX-License-Identifier: GPL-2.0-only
/*
 * The service manager's protocol, see sd_notify(3): a datagram of lines.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon.h"

/* Without a service manager, silent. */
void notify(const char *fmt, ...)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t len = offsetof(struct sockaddr_un, sun_path);
	char message[512];
	va_list ap;
	int fd;

	if (!path || !path[0] || strlen(path) >= sizeof(address.sun_path))
		return;
	strcpy(address.sun_path, path);
	len += strlen(path);
	if (path[0] == '@')
		address.sun_path[0] = '\0';
	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (sendto(fd, message, strlen(message), MSG_NOSIGNAL,
		   (struct sockaddr *)&address, len) < 0)
		log_msg(7, "NOTIFY_SOCKET %s: %m", path);
	close(fd);
}

/* How often the manager wants to hear of us, in nanoseconds; 0 for never. */
uint64_t notify_watchdog(void)
{
	const char *usec = getenv("WATCHDOG_USEC");
	const char *pid = getenv("WATCHDOG_PID");

	if (!usec || (pid && strtol(pid, NULL, 10) != getpid()))
		return 0;
	return strtoull(usec, NULL, 10) * 1000;
}
