// SPDX-License-Identifier: GPL-2.0-only
#include <linux/fs_context.h>
#include <linux/mm.h>
#include <linux/overlayfs.h>
#include <linux/uaccess.h>

#include "internal.h"
#include "trace.h"

/*
 * The results are written once here, so that a caller whose array can't be
 * written hears of it before anything is done.
 */
static int batch_read(struct ovlt_batch *batch, const struct ovlt_batch_op *op,
		      void __user *uarg, size_t usize)
{
	struct ovltree_batch *arg = &batch->arg;
	int err;

	err = copy_struct_from_user(arg, sizeof(*arg), uarg, usize);
	if (err)
		return err;
	batch->uarg = uarg;
	arg->size = min(usize, sizeof(*arg));

	if (arg->flags & ~op->flags)
		return -EINVAL;
	if (!arg->nr || !arg->entries || !arg->results)
		return -EINVAL;
	if (arg->nr > MNT_BATCH_MAX)
		return -E2BIG;
	if (arg->entry_size < op->entry_size ||
	    arg->result_size < sizeof(struct ovltree_result))
		return -EINVAL;
	if (arg->entry_size > PAGE_SIZE || arg->result_size > PAGE_SIZE)
		return -E2BIG;

	arg->wait_ns = 0;
	arg->hold_ns = 0;
	batch->results = kvcalloc(arg->nr, sizeof(*batch->results),
				  GFP_KERNEL_ACCOUNT);
	if (!batch->results)
		return -ENOMEM;
	for (unsigned int i = 0; i < arg->nr; i++)
		batch->results[i].fd = -1;
	return ovlt_batch_write(batch);
}

/**
 * ovlt_batch_entry - read an entry of a batch
 * @batch: the batch
 * @i: which entry
 * @entry: where to put it
 * @size: its size as we know it
 *
 * Return: 0 or a negative errno.
 */
int ovlt_batch_entry(const struct ovlt_batch *batch, unsigned int i,
		     void *entry, size_t size)
{
	u64 uentry = batch->arg.entries + (u64)i * batch->arg.entry_size;

	return copy_struct_from_user(entry, size, u64_to_user_ptr(uentry),
				     batch->arg.entry_size);
}

/**
 * ovlt_batch_write - give the caller the results
 * @batch: the batch
 *
 * Return: 0 or -EFAULT.
 */
int ovlt_batch_write(const struct ovlt_batch *batch)
{
	const struct ovltree_batch *arg = &batch->arg;
	size_t size = sizeof(*batch->results);

	for (unsigned int i = 0; i < arg->nr; i++) {
		u8 __user *uresult = u64_to_user_ptr(arg->results +
						     (u64)i * arg->result_size);

		if (copy_to_user(uresult, &batch->results[i], size) ||
		    clear_user(uresult + size, arg->result_size - size))
			return -EFAULT;
	}
	if (copy_to_user(batch->uarg, arg, arg->size))
		return -EFAULT;
	return 0;
}

unsigned int ovlt_batch_succeeded(const struct ovlt_batch *batch)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < batch->arg.nr; i++)
		nr += !batch->results[i].error;
	return nr;
}

/* An all-or-nothing batch has come to nothing. */
void ovlt_batch_cancel(struct ovlt_batch *batch)
{
	for (unsigned int i = 0; i < batch->arg.nr; i++) {
		if (!batch->results[i].error)
			batch->results[i].error = -ECANCELED;
	}
}

/**
 * ovlt_batch_run - run a batch command
 * @op: the command
 * @uarg: its argument, a &struct ovltree_batch
 * @usize: the argument's size as the caller knows it
 *
 * Return: Number of entries that succeeded, or a negative errno with nothing
 *         done.
 */
long ovlt_batch_run(const struct ovlt_batch_op *op, void __user *uarg,
		    size_t usize)
{
	struct ovl_known_upper upper = {};
	struct ovlt_batch batch = { .upper = &upper };
	long ret;

	if (!may_mount())
		return -EPERM;
	ret = batch_read(&batch, op, uarg, usize);
	if (!ret) {
		trace_ovltree_begin(op->name, batch.arg.nr, batch.arg.flags);
		ret = op->run(&batch);
	}
	if (!ret)
		ret = ovlt_batch_succeeded(&batch);
	ovl_known_upper_put(&upper);
	kvfree(batch.results);
	return ret;
}

/**
 * ovlt_fail - fail an entry
 * @result: of the entry
 * @err: negative errno
 * @field: what is wrong
 * @index: which element of @field
 * @fmt: why
 *
 * Return: @err.
 */
int ovlt_fail(struct ovltree_result *result, int err, enum ovltree_field field,
	      unsigned int index, const char *fmt, ...)
{
	va_list args;

	result->error = err;
	result->field = field;
	result->index = index;
	va_start(args, fmt);
	vscnprintf(result->message, sizeof(result->message), fmt, args);
	va_end(args);
	trace_ovltree_error(result);
	return err;
}

/**
 * ovlt_fail_fc - fail an entry with what the file system says
 * @result: of the entry
 * @err: negative errno
 * @field: what is wrong
 * @index: which element of @field
 * @fc: the context whose log has the reason, if there is one
 *
 * Return: @err.
 */
int ovlt_fail_fc(struct ovltree_result *result, int err,
		 enum ovltree_field field, unsigned int index,
		 const struct fs_context *fc)
{
	const struct fc_log *log = fc->log.log;
	const char *why;
	size_t len;

	if (log->head == log->tail)
		return ovlt_fail(result, err, field, index, "%s", "");

	/* An entry of the log is a level, a space, the text and a newline */
	why = log->buffer[(log->head - 1) % ARRAY_SIZE(log->buffer)] + 2;
	/* It can quote an option, and a precision has 16 bits. */
	len = min(strcspn(why, "\n"), sizeof(result->message));
	return ovlt_fail(result, err, field, index, "%.*s", (int)len, why);
}
