/*
 * The sandbox: a child that does what no reader needs is killed by it, whatever it does. The child is tests/lib/misreader.c,
 * which is built beside the test programs.
 */
#include "readers/reader.h"
#include "readers/sandbox.h"
#include "tests/unit/tap.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static char program[4096];

static void find_program(void)
{
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - sizeof("misreader"));
	while (n > 0 && program[n - 1] != '/')
		n--;
	if (n > 0)
		memcpy(program + n, "misreader", sizeof("misreader"));
}

static struct reader_result misbehave(struct arena *arena, int input, const char *misdeed)
{
	struct reader_options options = {.program = program, .argv0 = "tidegate", .format = misdeed, .mode = "rows", .input = input,
					 .wait_ms = 10000, .cpu_seconds = 5};
	struct reader reader;
	struct frame frame;
	arena_reset(arena);
	if (reader_start(&reader, arena, &options))
		return (struct reader_result){.verdict = READER_VERDICT_COUNT};
	while (reader_next(&reader, &frame) == READER_FRAME)
		;
	return reader_finish(&reader);
}

int main(void)
{
	static const char *const forbidden[] = {"open_file", "old_open", "socket", "fork", "exec", "kill_parent", "kill", "map_code", "map_input", "ptrace"};
	struct arena arena;
	arena_init(&arena, 1 << 20);
	find_program();
	int input = open("/dev/null", O_RDONLY | O_CLOEXEC);
	printf("# Landlock ABI %d\n", sandbox_landlock_abi());
	for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++) {
		struct reader_result result = misbehave(&arena, input, forbidden[i]);
		is_text(result.code, "reader_killed_by_sandbox", forbidden[i]);
		ok(WIFSIGNALED(result.wait_status) && WTERMSIG(result.wait_status) == SIGSYS, "%s: by SIGSYS", forbidden[i]);
	}
	is_text(misbehave(&arena, input, "leave").code, "reader_protocol_error", "the sandbox alone kills nobody");
	is_text(misbehave(&arena, input, "descriptors").code, "reader_protocol_error", "descriptors 0, 1 and 2 are all there is");
	is_text(misbehave(&arena, input, "abort").code, "reader_crashed", "abort() is told apart");
	close(input);
	arena_release(&arena);
	return tap_done();
}
