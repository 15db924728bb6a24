/*
 * The driver s3: what store.h promises, by the calls of s3.h. Objects that are worked on are fetched into files without a name in
 * storage.root/spool. Must never fail without a line in the log that says what the store said.
 */
#include "core/store/driver.h"

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/text.h"
#include "core/store/s3.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CALL_ARENA = 16 << 20, TOKEN_SIZE = 4096 };

/* A call's own memory, and the store as configured. */
struct session {
	struct arena arena;
	struct s3 s3;
};

static enum err open_session(struct session *session, const struct config *config)
{
	const char *why = NULL;
	session->s3 = (struct s3){.config = config};
	arena_init(&session->arena, CALL_ARENA);
	enum err err = s3_open(&session->arena, config, &session->s3, &why);
	if (err)
		log_write(LOG_LEVEL_ERROR, "store_not_configured", LOG_TEXT("reason", why));
	return err;
}

/* Ends the call; returns its result. That something is not there is for the caller to judge. */
static enum err close_session(struct session *session, const char *call, enum err err)
{
	const struct s3_failure *failure = &session->s3.failure;
	if (err && err != ERR_NOT_FOUND)
		log_write(LOG_LEVEL_WARN, "store_failed", LOG_TEXT("call", call), LOG_TEXT("result", err_name(err)), LOG_INT("status", failure->status),
		          LOG_TEXT("code", failure->code), LOG_TEXT("message", failure->message), LOG_INT("attempts", failure->attempts));
	arena_release(&session->arena);
	return err;
}

static enum err s3_store_presign(struct arena *arena, const struct config *config, const char *method, const char *key, const struct sigv4_pair *query,
                                 size_t query_count, const struct sigv4_pair *headers, size_t header_count, int64_t life_s, const char **ret_url)
{
	struct s3 s3;
	const char *why;
	enum err err = s3_open(arena, config, &s3, &why);
	return err ? err : s3_presign(&s3, arena, method, key, query, query_count, headers, header_count, life_s, ret_url);
}

static enum err s3_store_look(const struct config *config, const char *key, int64_t *ret_size)
{
	struct session session;
	struct s3_object object = {0};
	enum err err = open_session(&session, config);
	if (!err)
		err = s3_head(&session.s3, &session.arena, key, &object);
	if (!err)
		*ret_size = object.size;
	return close_session(&session, "head", err);
}

/* Any answer has the date, also that there is no such object. */
static enum err s3_store_clock(const struct config *config, int64_t *ret_ahead_s)
{
	struct session session;
	struct s3_object object = {0};
	enum err err = open_session(&session, config);
	int64_t before = clock_unix_us();
	if (!err)
		err = s3_head(&session.s3, &session.arena, "tidegate-check/clock", &object);
	int64_t after = clock_unix_us(), date = session.s3.date;
	err = close_session(&session, "head", err);
	if (err && err != ERR_NOT_FOUND)
		return err;
	if (date)
		*ret_ahead_s = clock_ahead_s(date * 1000000, 1000000, before, after);
	return date ? OK : ERR_NOT_FOUND;
}

static enum err list_page(struct session *session, const char *prefix, const char *token, store_seen *seen, void *context, char next[TOKEN_SIZE])
{
	struct s3_page page;
	enum err err = s3_list(&session->s3, &session->arena, prefix, *token ? token : NULL, &page);
	for (size_t i = 0; !err && i < page.count; i++) {
		int64_t modified_us = 0;
		if (clock_parse_iso8601(page.entries[i].modified ? page.entries[i].modified : "", &modified_us))
			return ERR_INVALID;
		err = seen(context, &(struct store_entry){page.entries[i].key, page.entries[i].size, modified_us / 1000000});
	}
	if (!err && (size_t)snprintf(next, TOKEN_SIZE, "%s", page.next ? page.next : "") >= TOKEN_SIZE)
		err = ERR_TOO_LARGE;
	return err;
}

/* Memory for one page at a time. */
static enum err s3_store_list(const struct config *config, const char *prefix, store_seen *seen, void *context)
{
	char token[TOKEN_SIZE] = "", next[TOKEN_SIZE] = "";
	enum err err = OK;
	do {
		struct session session;
		err = open_session(&session, config);
		if (!err)
			err = list_page(&session, prefix, token, seen, context, next);
		err = close_session(&session, "list", err);
		memcpy(token, next, sizeof(token));
	} while (!err && *token);
	return err;
}

/* to 0: all of it. */
static enum err fetch(const struct config *config, const char *key, int64_t deadline_s, int64_t from, int64_t to, int *ret_fd)
{
	struct session session;
	struct s3_object object = {0};
	int spool = store_directory(config, "spool");
	int fd = spool < 0 ? -1 : openat(spool, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	enum err err = fd < 0 ? store_errno() : OK;
	if (spool >= 0)
		close(spool);
	if (err)
		return err;
	err = open_session(&session, config);
	if (!err && deadline_s)
		session.s3.deadline_s = deadline_s;
	if (!err)
		err = to ? s3_get_range(&session.s3, &session.arena, key, fd, from, to, &object) : s3_get(&session.s3, &session.arena, key, fd, config->upload_max_bytes, &object);
	if (err)
		close(fd);
	else
		*ret_fd = fd;
	return close_session(&session, "get", err);
}

static enum err s3_store_open(const struct config *config, const char *key, int64_t deadline_s, int *ret_fd)
{
	return fetch(config, key, deadline_s, 0, 0, ret_fd);
}

static enum err s3_store_open_range(const struct config *config, const char *key, int64_t from, int64_t to, int *ret_fd)
{
	return fetch(config, key, 0, from, to, ret_fd);
}

static enum err s3_store_place(const struct config *config, const char *spool_path, const char *key)
{
	struct session session;
	struct s3_put how = {0};
	struct stat st;
	int fd = open(spool_path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return store_errno();
	enum err err = fstat(fd, &st) ? store_errno() : OK;
	if (!err) {
		err = open_session(&session, config);
		if (!err)
			err = s3_put(&session.s3, &session.arena, key, fd, st.st_size, &how);
		err = close_session(&session, "put", err);
	}
	close(fd);
	return err;
}

static enum err s3_store_remove(const struct config *config, const char *key)
{
	struct session session;
	enum err err = open_session(&session, config);
	if (!err)
		err = s3_delete(&session.s3, &session.arena, key);
	return close_session(&session, "delete", err);
}

static enum err s3_store_parts_begin(struct arena *arena, const struct config *config, const char *key, const char **ret_id)
{
	struct session session;
	struct s3_put how = {0};
	const char *id = NULL;
	enum err err = open_session(&session, config);
	if (!err)
		err = s3_multipart_create(&session.s3, &session.arena, key, &how, &id);
	if (!err && !(*ret_id = arena_strdup(arena, id)))
		err = ERR_TOO_LARGE;
	return close_session(&session, "multipart create", err);
}

static enum err s3_store_parts_arrived(struct arena *arena, const struct config *config, const char *key, const char *id, size_t count, int64_t *sizes)
{
	struct session session;
	struct s3_part *parts;
	size_t found = 0;
	(void)arena;
	enum err err = open_session(&session, config);
	if (!err)
		err = s3_multipart_parts(&session.s3, &session.arena, key, id, count, &parts, &found);
	for (size_t i = 0; !err && i < found; i++)
		if (parts[i].number >= 1 && (size_t)parts[i].number <= count)
			sizes[parts[i].number - 1] = parts[i].size;
	return close_session(&session, "multipart parts", err);
}

static enum err complete(struct session *session, const struct config *config, const char *key, const char *id, int64_t size, int64_t part_size)
{
	struct s3_part *parts;
	struct s3_object object = {0};
	size_t wanted = (size_t)((size + part_size - 1) / part_size), count = 0;
	enum err err = s3_multipart_parts(&session->s3, &session->arena, key, id, wanted, &parts, &count);
	if (!err && count != wanted)
		err = ERR_CONFLICT;
	return err ? err : s3_multipart_complete(&session->s3, &session->arena, key, id, parts, count, config->storage_conditional_put, &object);
}

static enum err s3_store_parts_complete(const struct config *config, const char *key, const char *id, int64_t size, int64_t part_size)
{
	struct session session;
	struct s3_object object = {0};
	enum err err = open_session(&session, config);
	if (!err)
		err = complete(&session, config, key, id, size, part_size);
	/* An earlier call may have completed it, without its answer having reached anybody. */
	if (err == ERR_NOT_FOUND && !s3_head(&session.s3, &session.arena, key, &object) && object.size == size)
		err = OK;
	return close_session(&session, "multipart complete", err);
}

static enum err s3_store_parts_abort(const struct config *config, const char *key, const char *id)
{
	struct session session;
	enum err err = open_session(&session, config);
	if (!err)
		err = s3_multipart_abort(&session.s3, &session.arena, key, id);
	return close_session(&session, "multipart abort", err);
}

/* "2026-11-21T08:47:38…": before that second? Texts of this form compare as times do. */
static bool begun_before(const char *begun, int64_t when)
{
	char limit[CLOCK_ISO_SIZE];
	clock_iso8601(when * 1000000, limit);
	return begun && strlen(begun) >= 19 && strncmp(begun, limit, 19) < 0;
}

static enum err s3_store_sweep_parts(const struct config *config, int64_t age_s, int64_t *count)
{
	struct session session;
	struct s3_upload *uploads = NULL;
	size_t found = 0;
	enum err err = open_session(&session, config);
	if (!err)
		err = s3_multipart_list(&session.s3, &session.arena, "imports/", &uploads, &found);
	for (size_t i = 0; !err && i < found; i++) {
		if (!begun_before(uploads[i].begun, s3_now() - age_s))
			continue;
		err = s3_multipart_abort(&session.s3, &session.arena, uploads[i].key, uploads[i].id);
		*count += !err;
	}
	return close_session(&session, "multipart sweep", err);
}

const struct store_driver store_s3 = {
    .presign = s3_store_presign,
    .look = s3_store_look,
    .open = s3_store_open,
    .open_range = s3_store_open_range,
    .place = s3_store_place,
    .remove = s3_store_remove,
    .parts_begin = s3_store_parts_begin,
    .parts_arrived = s3_store_parts_arrived,
    .parts_complete = s3_store_parts_complete,
    .parts_abort = s3_store_parts_abort,
    .sweep_parts = s3_store_sweep_parts,
    .list = s3_store_list,
    .clock = s3_store_clock,
    .put_once = true,
};
