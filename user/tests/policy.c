// SPDX-License-Identifier: GPL-2.0-only
/*
 * What of the daemon needs no kernel: its configuration, the choice of a batch,
 * the metrics, the explanation of a module that can't be loaded. And, with a kernel's
 * queue that the linker puts between, what it does when it has missed something.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>

#include <linux/ovltree_netlink.h>

#include "daemon/daemon.h"
#include "harness.h"

static void config_defaults(void)
{
	struct config config;
	char why[128];

	ASSERT_EQ(0, config_load(&config, "none", true, why, sizeof(why)));
	ASSERT_EQ(256, config.batch_max);
	ASSERT_EQ(10, config.interval_ms);
	ASSERT_EQ(true, config.load_module);
	ASSERT_EQ(LOG_INFO, config.log_level);
	ASSERT_STR("", config.metrics_file);
	ASSERT_EQ(-ENOENT,
		  config_load(&config, "none", false, why, sizeof(why)));
	ASSERT_STR("none: No such file or directory", why);
	put("empty", "");
	ASSERT_EQ(0, config_load(&config, "empty", false, why, sizeof(why)));
}

static void config_settings(void)
{
	struct config config;
	char why[128];

	put("conf", "# a remark\n"
		    "\n"
		    "batch_max = 7\n"
		    " interval_ms=0 \n"
		    "\tage_ms\t=\t60000\n"
		    "hold_max_us = 1\n"
		    "load_module = no\n"
		    "log_level = debug\n"
		    "metrics_file = /a b/c.prom\n"
		    "metrics_interval_s = 3600");
	ASSERT_EQ(0, config_load(&config, "conf", false, why, sizeof(why)));
	ASSERT_EQ(7, config.batch_max);
	ASSERT_EQ(0, config.interval_ms);
	ASSERT_EQ(60000, config.age_ms);
	ASSERT_EQ(1, config.hold_max_us);
	ASSERT_EQ(false, config.load_module);
	ASSERT_EQ(LOG_DEBUG, config.log_level);
	ASSERT_STR("/a b/c.prom", config.metrics_file);
	ASSERT_EQ(3600, config.metrics_interval_s);
	/* What the file doesn't have is as if it never had been there. */
	put("conf", "metrics_file =\n");
	ASSERT_EQ(0, config_load(&config, "conf", false, why, sizeof(why)));
	ASSERT_EQ(256, config.batch_max);
	ASSERT_STR("", config.metrics_file);
}

static void config_errors(void)
{
	static const struct {
		const char *text;
		const char *why;
	} variants[] = {
		{ "\nx", "line 2: \"x\" is not \"key = value\"" },
		{ "x = 1", "line 1: there is no setting \"x\"" },
		{ "Batch_max = 1",
		  "line 1: there is no setting \"Batch_max\"" },
		{ "batch_max =", "line 1: batch_max: \"\" is not a number" },
		{ "batch_max = -1",
		  "line 1: batch_max: \"-1\" is not a number" },
		{ "batch_max = 1x",
		  "line 1: batch_max: \"1x\" is not a number" },
		{ "batch_max = 0", "line 1: batch_max: 0 is not in 1 to 1024" },
		{ "batch_max = 1025",
		  "line 1: batch_max: 1025 is not in 1 to 1024" },
		{ "batch_max = 99999999999999999999",
		  "line 1: batch_max: \"99999999999999999999\" is not a number" },
		{ "load_module = true",
		  "line 1: load_module: \"true\" is neither yes nor no" },
		{ "log_level = loud",
		  "line 1: log_level: \"loud\" is none of error, warning, notice, info, debug" },
		{ "metrics_file = x.prom",
		  "line 1: metrics_file: \"x.prom\" is not an absolute path" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(variants); i++) {
		struct config config, before;
		char why[256];

		memset(&config, 0x5a, sizeof(config));
		before = config;
		ASSERT_EQ(-EINVAL, config_parse(&config, variants[i].text, why,
						sizeof(why)));
		ASSERT_STR(variants[i].why, why);
		ASSERT(!memcmp(&before, &config, sizeof(config)));
	}
}

/* Nothing of a file is passed over in silence. */
static void config_zero_byte(void)
{
	static const char text[] = "batch_max = 7\n\0nonsense";
	FILE *file = fopen("conf", "we");
	struct config config;
	char why[128];

	ASSERT(file);
	ASSERT_EQ(sizeof(text), fwrite(text, 1, sizeof(text), file));
	ASSERT(!fclose(file));
	ASSERT_EQ(-EINVAL,
		  config_load(&config, "conf", false, why, sizeof(why)));
	ASSERT_STR("conf: there is a zero byte in it", why);
}

static void add(struct queue *queue, uint64_t id, uint32_t userns,
		uint64_t cgroup, unsigned int priority, uint64_t since)
{
	const struct ovlt_request request = {
		.id = id,
		.userns_id = userns,
		.cgroup_id = cgroup,
		.priority = priority,
		.deadline_ms = 1000,
		.age_ns = NS_PER_S - since,
	};

	ASSERT_EQ(0, queue_add(queue, &request, NS_PER_S));
}

static const struct limits no_limits = { .now = NS_PER_S,
					 .max = 16,
					 .age = NS_PER_S };

/* The ids of the next batch as a text. */
static const char *choose(struct queue *queue, const struct limits *limits)
{
	static char text[256];
	uint64_t ids[16];
	size_t nr;
	int len = 0;

	ASSERT(limits->max <= 16);
	ASSERT_EQ(0, batch_choose(queue, limits, ids, &nr));
	text[0] = '\0';
	for (size_t i = 0; i < nr; i++)
		len += sprintf(text + len, "%s%llu", i ? " " : "",
			       (unsigned long long)ids[i]);
	queue_clear(queue);
	return text;
}

static void choose_oldest(void)
{
	struct queue queue = { 0 };

	ASSERT_STR("", choose(&queue, &no_limits));
	add(&queue, 1, 1, 1, 0, 30);
	add(&queue, 2, 1, 1, 0, 10);
	add(&queue, 3, 1, 1, 0, 20);
	add(&queue, 4, 1, 1, 0, 20);
	ASSERT_STR("2 3 4 1", choose(&queue, &no_limits));
}

static void choose_fair(void)
{
	struct queue queue = { 0 };
	struct limits limits = no_limits;

	/* One cgroup was first, with many. */
	for (int i = 0; i < 6; i++)
		add(&queue, 10 + i, 1, 1, 0, i);
	add(&queue, 20, 1, 2, 0, 50);
	add(&queue, 21, 1, 2, 0, 51);
	ASSERT_STR("10 20 11 21 12 13 14 15", choose(&queue, &no_limits));

	/* Many cgroups of one user namespace have the share of one. */
	for (int i = 0; i < 4; i++)
		add(&queue, 10 + i, 1, i, 0, i);
	for (int i = 0; i < 3; i++)
		add(&queue, 20 + i, 2, 9, 0, 50 + i);
	ASSERT_STR("10 20 11 21 12 22 13", choose(&queue, &no_limits));

	/* A cgroup's number counts in its user namespace only. */
	add(&queue, 1, 1, 5, 0, 1);
	add(&queue, 2, 1, 5, 0, 2);
	add(&queue, 3, 2, 5, 0, 3);
	limits.max = 2;
	ASSERT_STR("1 3", choose(&queue, &limits));
}

static void choose_priority(void)
{
	struct queue queue = { 0 };
	struct limits limits = no_limits;

	add(&queue, 1, 1, 1, 0, 700000000);
	add(&queue, 2, 1, 1, 255, 900000000);
	add(&queue, 3, 2, 2, 7, 800000000);
	add(&queue, 4, 1, 1, 7, 850000000);
	ASSERT_STR("2 3 4 1", choose(&queue, &no_limits));

	/* But what has waited for long goes before. */
	add(&queue, 1, 1, 1, 0, 700000000);
	add(&queue, 2, 1, 1, 255, 900000000);
	limits.age = 300000000;
	ASSERT_STR("1 2", choose(&queue, &limits));
	add(&queue, 1, 1, 1, 0, 700000001);
	add(&queue, 2, 1, 1, 255, 900000000);
	ASSERT_STR("2 1", choose(&queue, &limits));
}

static void choose_bounds(void)
{
	struct queue queue = { 0 };
	struct limits limits = no_limits;

	limits.max = 2;
	for (int i = 0; i < 5; i++)
		add(&queue, i, 1, 1, 0, i);
	ASSERT_STR("0 1", choose(&queue, &limits));
	limits.max = 16;
	limits.hold = 1000;
	limits.cost = 300;
	for (int i = 0; i < 5; i++)
		add(&queue, i, 1, 1, 0, i);
	ASSERT_STR("0 1 2", choose(&queue, &limits));
	/* One goes, whatever it costs. */
	limits.cost = 5000;
	add(&queue, 1, 1, 1, 0, 1);
	add(&queue, 2, 1, 1, 0, 2);
	ASSERT_STR("1", choose(&queue, &limits));
	/* Nothing is known yet. */
	limits.cost = 0;
	add(&queue, 1, 1, 1, 0, 1);
	add(&queue, 2, 1, 1, 0, 2);
	ASSERT_STR("1 2", choose(&queue, &limits));

	ASSERT_EQ(50, batch_learn(0, 2, 100));
	ASSERT_EQ(64, batch_learn(64, 0, 0));
	ASSERT_EQ(64, batch_learn(64, 1, 64));
	ASSERT_EQ(57, batch_learn(64, 1, 8));
	/* Many know better than one that was alone. */
	ASSERT_EQ(60, batch_learn(182, 21, 423));
}

static void due_alone(void)
{
	const struct pace none = { 0 };
	const struct pace one = { .begin = NS_PER_S - NS_PER_MS,
				  .end = NS_PER_S - 1,
				  .nr = 1 };
	const struct pace burst = { .begin = NS_PER_S - NS_PER_MS,
				    .end = NS_PER_S - 1,
				    .nr = 2 };
	const struct pace past = { .begin = NS_PER_S - 20 * NS_PER_MS,
				   .end = NS_PER_S - 10 * NS_PER_MS,
				   .nr = 2 };
	struct queue queue = { 0 };

	ASSERT_EQ(UINT64_MAX, batch_due(&queue, &none, NS_PER_MS, 16));
	add(&queue, 1, 1, 1, 0, NS_PER_S);
	ASSERT_EQ(0, batch_due(&queue, &none, 10 * NS_PER_MS, 16));
	/* One that waits for each is not held up, however fast it is. */
	ASSERT_EQ(0, batch_due(&queue, &one, 10 * NS_PER_MS, 16));
	/* This may be the last of a burst, or not; after a pause it isn't. */
	ASSERT_EQ(NS_PER_S + 10 * NS_PER_MS,
		  batch_due(&queue, &burst, 10 * NS_PER_MS, 16));
	ASSERT_EQ(0, batch_due(&queue, &burst, 0, 16));
	ASSERT_EQ(NS_PER_S + 20 * NS_PER_MS,
		  batch_due(&queue, &past, 10 * NS_PER_MS, 16));
	queue_clear(&queue);
	/* It came while the last one was under way: there are two. */
	add(&queue, 1, 1, 1, 0, one.begin + 1000);
	ASSERT_EQ(one.begin + 1000 + 10 * NS_PER_MS,
		  batch_due(&queue, &one, 10 * NS_PER_MS, 16));
	queue_clear(&queue);
	add(&queue, 1, 1, 1, 0, NS_PER_S);
	queue.requests[0].since += 10 * NS_PER_MS;
	queue.requests[0].deadline += 10 * NS_PER_MS;
	ASSERT_EQ(0, batch_due(&queue, &past, 10 * NS_PER_MS, 16));
	queue_clear(&queue);
}

static void due_burst(void)
{
	const struct ovlt_request urgent = { .id = 9, .deadline_ms = 4 };
	const struct pace none = { 0 };
	const struct pace slow = { .begin = 0, .end = 15 * NS_PER_MS, .nr = 1 };
	struct queue queue = { 0 };

	add(&queue, 1, 1, 1, 0, NS_PER_S - 40 * NS_PER_MS);
	add(&queue, 2, 1, 1, 0, NS_PER_S - 5 * NS_PER_MS);
	add(&queue, 3, 1, 1, 0, NS_PER_S - 9 * NS_PER_MS);
	/* Until nothing has come for a while, which is as long as all is slow. */
	ASSERT_EQ(NS_PER_S + 5 * NS_PER_MS,
		  batch_due(&queue, &none, 10 * NS_PER_MS, 16));
	ASSERT_EQ(NS_PER_S + 25 * NS_PER_MS,
		  batch_due(&queue, &slow, 10 * NS_PER_MS, 16));
	/* They may keep coming, but none waits for ten times that. */
	ASSERT_EQ(NS_PER_S - 10 * NS_PER_MS,
		  batch_due(&queue, &none, 3 * NS_PER_MS, 16));
	/* A batch that is full waits for nothing, nor does a deadline. */
	ASSERT_EQ(0, batch_due(&queue, &none, 10 * NS_PER_MS, 3));
	ASSERT_EQ(0, queue_add(&queue, &urgent, NS_PER_S));
	ASSERT_EQ(NS_PER_S + 2 * NS_PER_MS,
		  batch_due(&queue, &none, 10 * NS_PER_MS, 16));
	queue_clear(&queue);
}

/* Clients that come again when they have been served don't wait for others. */
static void due_steady(void)
{
	struct pace pace = { .begin = NS_PER_S - NS_PER_MS,
			     .end = NS_PER_S - 1,
			     .nr = 2,
			     .nr_before = 1 };
	struct queue queue = { 0 };

	add(&queue, 1, 1, 1, 0, NS_PER_S);
	add(&queue, 2, 1, 1, 0, NS_PER_S);
	ASSERT_EQ(NS_PER_S + 10 * NS_PER_MS,
		  batch_due(&queue, &pace, 10 * NS_PER_MS, 16));
	pace.nr_before = 2;
	ASSERT_EQ(0, batch_due(&queue, &pace, 10 * NS_PER_MS, 16));
	/* One is missing. */
	pace.nr = pace.nr_before = 3;
	ASSERT_EQ(NS_PER_S + 10 * NS_PER_MS,
		  batch_due(&queue, &pace, 10 * NS_PER_MS, 16));
	queue_clear(&queue);
}

/*
 * Let @nr requests come, as far apart as a sequence of chance numbers says, @gap on
 * the average, while a batch takes @took. Returns the number of batches; @longest
 * gets the longest time that one waited.
 */
static unsigned int batches_of(unsigned int nr, uint64_t gap, uint64_t took,
			       uint64_t *longest)
{
	const uint64_t interval = 10 * NS_PER_MS;
	struct pace pace = { 0 };
	struct queue queue = { 0 };
	uint64_t now = NS_PER_S, next = now;
	unsigned int batches = 0, come = 0;

	*longest = 0;
	srandom(1);
	while (come < nr || queue.nr) {
		uint64_t due = batch_due(&queue, &pace, interval, 256);

		if (come < nr && (next <= now || next < due)) {
			const struct ovlt_request request = {
				.id = ++come, .deadline_ms = 1000
			};

			now = next > now ? next : now;
			ASSERT_EQ(0, queue_add(&queue, &request, next));
			next += random() % (2 * gap);
			continue;
		}
		now = due > now ? due : now;
		batches++;
		for (size_t i = 0; i < queue.nr; i++)
			if (now - queue.requests[i].since > *longest)
				*longest = now - queue.requests[i].since;
		pace = (struct pace){ now, now + took, queue.nr, pace.nr };
		queue.nr = 0;
		now += took;
	}
	queue_clear(&queue);
	return batches;
}

/* 200 processes, on machines that take 0.2 to 2 seconds to start them. */
static void batches_of_burst(void)
{
	static const uint64_t gaps_us[] = { 1000, 2000, 5000, 10000 };

	for (size_t i = 0; i < ARRAY_SIZE(gaps_us); i++) {
		uint64_t gap = gaps_us[i] * 1000, longest;
		unsigned int nr = batches_of(200, gap, gap, &longest);

		printf("# every %.0f ms: %u batches, one waits %.0f ms at most\n",
		       gap / 1e6, nr, longest / 1e6);
		ASSERT(nr <= 20);
		ASSERT(longest <= NS_PER_S / 2);
	}
}

static void queue_copy(void)
{
	const struct ovlt_request two = { .id = 2 }, three = { .id = 3 };
	struct queue queue = { 0 };

	for (int i = 0; i < 200; i++)
		add(&queue, i, 1, 1, 0, i);
	add(&queue, 7, 1, 1, 0, 7);
	ASSERT_EQ(200, queue.nr);
	queue_remove(&queue, 7);
	queue_remove(&queue, 7);
	ASSERT_EQ(199, queue.nr);
	queue_resync_begin(&queue);
	ASSERT_EQ(0, queue_add(&queue, &two, 0));
	ASSERT_EQ(0, queue_add(&queue, &three, 0));
	add(&queue, 500, 1, 1, 0, 500);
	queue_resync_end(&queue);
	ASSERT_EQ(3, queue.nr);
	ASSERT_STR("2 3 500", choose(&queue, &no_limits));
}

/* The kernel's queue: what waits, and an event that is to be told. */
static struct {
	uint64_t ids[4];
	unsigned int nr;
	unsigned int dumps;
	int dump_error;
	bool lost;
} played;

int __wrap_ovlt_queue_wait(struct ovlt_queue *queue, int timeout_ms,
			   struct ovlt_event *event, size_t size);
int __wrap_ovlt_queue_wait(struct ovlt_queue *queue, int timeout_ms,
			   struct ovlt_event *event, size_t size)
{
	ASSERT(queue == (struct ovlt_queue *)&played && !timeout_ms);
	if (!played.lost)
		return -EAGAIN;
	played.lost = false;
	memset(event, 0, size);
	event->type = OVLT_EVENT_LOST;
	return 0;
}

int __wrap_ovlt_queue_dump(struct ovlt_queue *queue, ovlt_request_fn fn,
			   void *data);
int __wrap_ovlt_queue_dump(struct ovlt_queue *queue, ovlt_request_fn fn,
			   void *data)
{
	ASSERT(queue == (struct ovlt_queue *)&played);
	played.dumps++;
	for (unsigned int i = 0; !played.dump_error && i < played.nr; i++) {
		const struct ovlt_request request = { .id = played.ids[i],
						      .deadline_ms = 1000 };

		ASSERT_EQ(0, fn(data, &request));
	}
	return played.dump_error;
}

int __wrap_ovlt_queue_get_stats(struct ovlt_queue *queue,
				struct ovlt_stats *stats, size_t size);
int __wrap_ovlt_queue_get_stats(struct ovlt_queue *queue,
				struct ovlt_stats *stats, size_t size)
{
	ASSERT(queue == (struct ovlt_queue *)&played);
	memset(stats, 0, size);
	stats->has_daemon = true;
	stats->queued = played.nr;
	return 0;
}

static void play(unsigned int nr, const uint64_t *ids)
{
	memcpy(played.ids, ids, nr * sizeof(*ids));
	played.nr = nr;
}

/* A daemon that knows of nothing yet. */
static struct server serving(void)
{
	struct server server = { .kernel = (struct ovlt_queue *)&played };

	config_init(&server.config);
	log_level = LOG_ERR;
	return server;
}

/* It knows of these, and would commit them. */
static void expect_waiting(const struct server *server, size_t nr,
			   const uint64_t *ids)
{
	ASSERT_EQ(nr, server->queue.nr);
	for (size_t i = 0; i < nr; i++)
		ASSERT(queue_find(&server->queue, ids[i]));
	ASSERT_EQ(!nr, server_due(server) == UINT64_MAX);
}

static void events_lost(void)
{
	static const uint64_t before[] = { 1, 2 }, after[] = { 2, 3, 4 };
	struct server server = serving();

	server_read(&server);
	ASSERT_EQ(0, played.dumps);
	add(&server.queue, 1, 1, 1, 0, 0);
	add(&server.queue, 2, 1, 1, 0, 0);
	/* One has ended meanwhile, and two have come. */
	play(3, after);
	expect_waiting(&server, 2, before);
	played.lost = true;
	server_read(&server);
	expect_waiting(&server, 3, after);
	ASSERT_EQ(1, played.dumps);
	ASSERT_EQ(1, server.metrics.resyncs);
	server_read(&server);
	ASSERT_EQ(1, played.dumps);
	queue_clear(&server.queue);
}

static void ready_not_sent(void)
{
	static const uint64_t ids[] = { 5, 6 };
	struct server server = serving();

	ASSERT_EQ(0, server_tick(&server));
	ASSERT_EQ(0, played.dumps);
	play(2, ids);
	expect_waiting(&server, 0, NULL);
	ASSERT_EQ(0, server_tick(&server));
	expect_waiting(&server, 2, ids);
	ASSERT_EQ(1, server.metrics.resyncs);
	/* They agree. */
	ASSERT_EQ(0, server_tick(&server));
	ASSERT_EQ(1, played.dumps);
	/* What the kernel has committed itself shows in the same way. */
	play(1, ids);
	ASSERT_EQ(0, server_tick(&server));
	expect_waiting(&server, 1, ids);
	ASSERT_EQ(2, server.metrics.resyncs);
	queue_clear(&server.queue);
}

/* Events are lost, and what waits can't be read: request 1 isn't forgotten. */
static struct server serving_unread(unsigned int nr, const uint64_t *ids,
				    int error)
{
	struct server server = serving();

	add(&server.queue, 1, 1, 1, 0, 0);
	play(nr, ids);
	played.lost = true;
	played.dump_error = error;
	server_read(&server);
	ASSERT_EQ(1, server.queue.nr);
	ASSERT(queue_find(&server.queue, 1));
	ASSERT_EQ(0, server.metrics.resyncs);
	played.dump_error = 0;
	return server;
}

/* It is read a second later. */
static void resync_fails(void)
{
	static const uint64_t ids[] = { 1, 2 };
	struct server server = serving_unread(2, ids, -ENOMEM);

	ASSERT_EQ(UINT64_MAX, server_due(&server));
	ASSERT_EQ(0, server_tick(&server));
	expect_waiting(&server, 2, ids);
	ASSERT_EQ(2, played.dumps);
	ASSERT_EQ(1, server.metrics.resyncs);
	queue_clear(&server.queue);
}

/* A queue that changes too fast stops no batch, and is read anew all the same. */
static void resync_overtaken(void)
{
	static const uint64_t ids[] = { 2 };
	struct server server = serving_unread(1, ids, -EAGAIN);

	ASSERT(server_due(&server) < UINT64_MAX);
	ASSERT_EQ(0, server_tick(&server));
	expect_waiting(&server, 1, ids);
	ASSERT_EQ(1, server.metrics.resyncs);
	ASSERT_EQ(0, server_tick(&server));
	ASSERT_EQ(1, server.metrics.resyncs);
	queue_clear(&server.queue);
}

static bool has(const char *text, const char *line)
{
	const char *at = strstr(text, line);

	return at && (at == text || at[-1] == '\n') && at[strlen(line)] == '\n';
}

static void metrics_text(void)
{
	const struct ovlt_stats stats = {
		.submitted = 1ULL << 40,
		.queued = 3,
		.hold_max_ns = 1500000,
		.has_daemon = 1,
	};
	struct metrics metrics = { .done = { 5, 1 }, .gone = 2, .resyncs = 4 };
	struct stat st;
	char *text;

	metrics.failed[ENOENT] = 2;
	metrics_batch(&metrics, OVLTREE_KIND_ATTACH, 1, 0, 16000);
	metrics_batch(&metrics, OVLTREE_KIND_ATTACH, 5, 1000, 16001);
	metrics_batch(&metrics, OVLTREE_KIND_DETACH, 5000, 0, NS_PER_S * 1000);
	metrics_queued(&metrics, 2 * NS_PER_MS);
	put("m.prom", "old");
	ASSERT_EQ(0, metrics_write(at("m.prom"), &metrics, 8, &stats));
	ASSERT(!stat("m.prom", &st));
	ASSERT_EQ(0644, st.st_mode & 07777);
	ASSERT(access("m.prom.new", F_OK));
	text = read_all("m.prom");
	ASSERT(text);
	ASSERT(has(text, "# TYPE ovltree_submitted_total counter"));
	ASSERT(has(text, "ovltree_submitted_total 1099511627776"));
	ASSERT(has(text, "ovltree_queue_length 3"));
	ASSERT(has(text, "ovltree_hold_max_seconds 0.001500000"));
	ASSERT(has(text, "ovltree_daemon 1"));
	ASSERT(has(text, "ovltreed_done_total{kind=\"attach\"} 5"));
	ASSERT(has(text, "ovltreed_done_total{kind=\"detach\"} 1"));
	ASSERT(has(text, "ovltreed_errors_total{errno=\"ENOENT\"} 2"));
	ASSERT(!strstr(text, "errno=\"EPERM\""));
	ASSERT(has(text, "ovltreed_batches_total{kind=\"attach\"} 2"));
	ASSERT(has(text, "ovltreed_queue_length 8"));
	/* Buckets count what is not above their bound. */
	ASSERT(has(text, "# TYPE ovltreed_batch_size histogram"));
	ASSERT(has(text, "ovltreed_batch_size_bucket{le=\"1\"} 1"));
	ASSERT(has(text, "ovltreed_batch_size_bucket{le=\"4\"} 1"));
	ASSERT(has(text, "ovltreed_batch_size_bucket{le=\"8\"} 2"));
	ASSERT(has(text, "ovltreed_batch_size_bucket{le=\"2048\"} 2"));
	ASSERT(has(text, "ovltreed_batch_size_bucket{le=\"+Inf\"} 3"));
	ASSERT(has(text, "ovltreed_batch_size_sum 5006"));
	ASSERT(has(text, "ovltreed_batch_size_count 3"));
	ASSERT(has(text, "ovltreed_hold_seconds_bucket{le=\"1.6e-05\"} 1"));
	ASSERT(has(text, "ovltreed_hold_seconds_bucket{le=\"6.4e-05\"} 2"));
	ASSERT(has(text, "ovltreed_queued_seconds_sum 0.002"));
	free(text);
	ASSERT_EQ(-ENOENT,
		  metrics_write(at("none/m.prom"), &metrics, 8, &stats));
}

static void load_reasons(void)
{
	static const struct {
		struct load_facts facts;
		const char *why;
	} variants[] = {
		{ { .err = -ENOENT, .release = "6.12.1" },
		  "there is no module ovltree for Linux 6.12.1;" },
		{ { .err = -ENOEXEC,
		    .release = "6.12.1",
		    .vermagic = "6.12.10 SMP" },
		  "the module is for Linux 6.12.10, and this is 6.12.1;" },
		{ { .err = -ENOEXEC,
		    .release = "6.12.1",
		    .vermagic = "6.12.1 SMP" },
		  "the kernel doesn't take the module as one of its own" },
		{ { .err = -EPERM,
		    .release = "6.12.1",
		    .vermagic = "6.12.1 SMP",
		    .lockdown = true },
		  "the module isn't signed, and the kernel is locked down" },
		{ { .err = -EKEYREJECTED,
		    .release = "6.12.1",
		    .vermagic = "6.12.1 SMP",
		    .sig_enforce = true },
		  "the module isn't signed, and the kernel wants signatures" },
		{ { .err = -ENOKEY,
		    .release = "6.12.1",
		    .vermagic = "6.12.1 SMP",
		    .sig_enforce = true,
		    .is_signed = true },
		  "the module is signed with a key that the kernel doesn't trust" },
		{ { .err = -ENOENT,
		    .release = "6.12.1",
		    .vermagic = "6.12.1 SMP",
		    .missing = "mnt_attach_batch" },
		  "the kernel lacks mnt_attach_batch," },
		{ { .err = -ENOENT,
		    .release = "6.12.1",
		    .vermagic = "6.12.1 SMP" },
		  "the kernel lacks a symbol, which" },
		{ { .err = -EINVAL,
		    .release = "6.12.1",
		    .vermagic = "6.12.1 SMP",
		    .missing = "mnt_attach_batch",
		    .import_ns = "VFS_MOUNT_BATCH" },
		  "the kernel refuses a symbol to the module, which imports the namespace VFS_MOUNT_BATCH" },
		{ { .err = -EPERM,
		    .release = "6.12.1",
		    .vermagic = "6.12.1 SMP" },
		  "loading the module is not permitted: CAP_SYS_MODULE" },
		{ { .err = -ENOMEM,
		    .release = "6.12.1",
		    .vermagic = "6.12.1 SMP" },
		  "the module can't be loaded: Cannot allocate memory" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(variants); i++) {
		char why[512];

		load_explain(&variants[i].facts, why, sizeof(why));
		if (strncmp(why, variants[i].why, strlen(variants[i].why)))
			fail_at(__FILE__, __LINE__,
				"\"%s\" doesn't begin with \"%s\"", why,
				variants[i].why);
	}
}

static void service_manager(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char text[64] = "";
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	ASSERT(!unsetenv("NOTIFY_SOCKET"));
	notify("READY=1");
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", at("n"));
	ASSERT(!bind(fd, (struct sockaddr *)&address, sizeof(address)));
	ASSERT(!setenv("NOTIFY_SOCKET", address.sun_path, 1));
	notify("READY=1\nSTATUS=%d wait", 7);
	ASSERT(recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT) > 0);
	ASSERT_STR("READY=1\nSTATUS=7 wait", text);
	close(fd);

	ASSERT(!unsetenv("WATCHDOG_USEC"));
	ASSERT_EQ(0, notify_watchdog());
	ASSERT(!setenv("WATCHDOG_USEC", "2000000", 1));
	ASSERT_EQ(2 * NS_PER_S, notify_watchdog());
	ASSERT(!setenv("WATCHDOG_PID", "1", 1));
	ASSERT_EQ(0, notify_watchdog());
}

static const struct test tests[] = {
	TEST(config_defaults),	TEST(config_settings),	TEST(config_errors),
	TEST(config_zero_byte), TEST(choose_oldest),	TEST(choose_fair),
	TEST(choose_priority),	TEST(choose_bounds),	TEST(due_alone),
	TEST(due_burst),	TEST(due_steady),	TEST(batches_of_burst),
	TEST(queue_copy),	TEST(events_lost),	TEST(ready_not_sent),
	TEST(resync_fails),	TEST(resync_overtaken), TEST(metrics_text),
	TEST(load_reasons),	TEST(service_manager),
};

int main(void)
{
	run_tests("policy", tests, ARRAY_SIZE(tests), false);
	return tap_done();
}
