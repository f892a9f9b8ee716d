// SPDX-License-Identifier: GPL-2.0
/* Layer sets that are made, used, closed, and passed from worker to worker. */
#include "workers.h"

#include <sys/socket.h>

#define NR_SLOTS 4

static int slots[NR_SLOTS] = { -1, -1, -1, -1 };

static void keep(int slot, int fd)
{
	if (slots[slot] >= 0)
		close(slots[slot]);
	slots[slot] = fd;
}

static void create(struct stress *stress, int slot)
{
	struct ovltree_tree *tree;
	int dev = stress_open(stress), fd;

	if (dev < 0)
		return;
	tree = ovlt_simple_tree();
	fd = ovlt_layerset_one(dev, tree);
	stress_count(stress, STRESS_LAYERSET, fd);
	if (fd >= 0)
		keep(slot, fd);
	free((void *)(uintptr_t)tree->lower);
	free(tree);
	close(dev);
}

/* The device is the same for all: a set outlives the descriptor it was made by. */
static void use(struct stress *stress, int slot, const char *target)
{
	struct ovltree_tree tree = {
		.flags = OVLTREE_TREE_LAYERSET,
		.layerset_fd = slots[slot],
	};
	struct ovltree_attach entry = ovlt_entry_tree(&tree, target);
	struct ovltree_result result;
	int dev;

	if (slots[slot] < 0)
		return;
	dev = stress_open(stress);
	if (dev < 0)
		return;
	stress_count_batch(stress, STRESS_ATTACH, &result, 1,
			   ovlt_attach(dev, 0, &entry, 1, &result));
	close(dev);
}

/* A message with a byte and a descriptor */
struct parcel {
	struct msghdr msg;
	struct iovec data;
	char byte;
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
};

static void parcel_init(struct parcel *parcel)
{
	*parcel = (struct parcel) {
		.data = { .iov_base = &parcel->byte, .iov_len = 1 },
		.msg = {
			.msg_iov = &parcel->data,
			.msg_iovlen = 1,
			.msg_control = &parcel->control,
			.msg_controllen = sizeof(parcel->control),
		},
	};
}

static void pass(struct stress *stress, int slot)
{
	struct parcel parcel;
	struct cmsghdr *head = &parcel.control.head;

	if (slots[slot] < 0)
		return;
	parcel_init(&parcel);
	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(head), &slots[slot], sizeof(int));
	stress_count(stress, STRESS_PASS,
		     sendmsg(stress->sockets[0], &parcel.msg, MSG_DONTWAIT) < 0 ? -errno : 0);
	/* From here on it may be in flight only. */
	keep(slot, -1);
}

/* Return: the descriptor, or -errno. */
static int receive(struct stress *stress)
{
	struct parcel parcel;
	struct msghdr *msg = &parcel.msg;
	int fd;

	parcel_init(&parcel);
	if (recvmsg(stress->sockets[1], msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 0)
		return -errno;
	if (!CMSG_FIRSTHDR(msg))
		return -EBADMSG;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(msg)), sizeof(fd));
	return fd;
}

static void step(struct stress *stress, unsigned int *seed)
{
	int slot = rand_r(seed) % NR_SLOTS, fd;

	switch (rand_r(seed) % 6) {
	case 0:
		create(stress, slot);
		break;
	case 1:
	case 2:
		use(stress, slot, stress_target(seed));
		break;
	case 3:
		pass(stress, slot);
		break;
	case 4:
		fd = receive(stress);
		stress_count(stress, STRESS_RECEIVE, fd);
		if (fd >= 0)
			keep(slot, fd);
		break;
	case 5:
		keep(slot, -1);
		break;
	}
}

static void let_go(struct stress *stress)
{
	int fd;

	for (int i = 0; i < NR_SLOTS; i++)
		keep(i, -1);
	while ((fd = receive(stress)) >= 0)
		close(fd);
}

const struct stress_worker stress_layersets = {
	.step = step,
	.let_go = let_go,
};
