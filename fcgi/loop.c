/*
 * Accept, serve one, forget everything, again. Called by `tidegate serve` only.
 * Must never be interrupted inside a request, hold a connection between requests, or grow from request to request.
 */
#include "fcgi/loop.h"

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/metrics.h"
#include "fcgi/dispatch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

static volatile sig_atomic_t stop;

static void on_stop(int signal_number)
{
	(void)signal_number;
	stop = 1;
}

static void on_alarm(int signal_number)
{
	static const char line[] = "{\"level\":\"error\",\"process\":\"serve\",\"event\":\"watchdog\"}\n";
	(void)signal_number;
	ssize_t ignored = write(STDERR_FILENO, line, sizeof(line) - 1);
	(void)ignored;
	_exit(LOOP_EXIT_WATCHDOG);
}

/* Ours must stand before FCGX_Init, which installs its own only where none is. *ret_unblocked: the mask while waiting. */
static void install_signals(sigset_t *ret_unblocked)
{
	struct sigaction action = {.sa_handler = on_stop};
	sigset_t blocked;
	sigemptyset(&action.sa_mask);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGUSR1, &action, NULL);
	action.sa_handler = on_alarm;
	sigaction(SIGALRM, &action, NULL);
	action.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigaddset(&blocked, SIGINT);
	sigaddset(&blocked, SIGUSR1);
	sigprocmask(SIG_BLOCK, &blocked, ret_unblocked);
	sigdelset(ret_unblocked, SIGTERM);
	sigdelset(ret_unblocked, SIGINT);
	sigdelset(ret_unblocked, SIGUSR1);
}

static void allow_seconds(struct gate *gate, unsigned seconds)
{
	(void)gate;
	alarm(seconds);
}

static void count(int status, int64_t microseconds)
{
	static const enum metric classes[] = {METRIC_REQUESTS_2XX, METRIC_REQUESTS_3XX, METRIC_REQUESTS_4XX, METRIC_REQUESTS_5XX};
	int class = status / 100 - 2;
	if (class >= 0 && class < 4)
		metrics_add(classes[class], 1);
	metrics_add(METRIC_REQUEST_US, microseconds);
}

static void serve_one(struct gate *gate, struct arena *arena, FCGX_Request *fcgi, const struct route_table *tables, size_t table_count)
{
	int64_t started = clock_monotonic_us();
	struct request request = {.gate = gate, .arena = arena, .fcgi = fcgi};
	struct response response = {.request = &request, .status = 500};
	buf_init(&response.body, RESPONSE_BODY_MAX);
	alarm((unsigned)gate->config->request_timeout_s);
	dispatch(&request, &response, tables, table_count, allow_seconds);
	response_send(&response);
	int64_t took = clock_monotonic_us() - started;
	count(response.status, took);
	log_write(response.status >= 500 ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG, "request", LOG_TEXT("method", request_param(&request, "REQUEST_METHOD")),
	          LOG_INT("status", response.status), LOG_TEXT("code", response.is_problem ? problem_code(response.problem) : NULL), LOG_INT("microseconds", took));
	FCGX_Finish_r(fcgi); /* sends what is left, and frees the parameters that the request points to */
	alarm(0);
	log_set_context(NULL, NULL);
	buf_release(&response.body);
	arena_reset(arena);
}

/* True when a connection waits; false on a signal or after the time-out (*ret_idle then tells). */
static bool wait_for_connection(int fd, const sigset_t *unblocked, bool *ret_idle)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	struct timespec timeout = {.tv_sec = 10};
	int ready = ppoll(&poll_fd, 1, &timeout, unblocked);
	*ret_idle = ready == 0;
	return ready > 0;
}

enum err loop_run(struct gate *gate, int listen_fd, const struct route_table *tables, size_t table_count)
{
	const struct config *config = gate->config;
	struct arena arena;
	sigset_t unblocked;
	FCGX_Request fcgi;
	int listening = 0;
	socklen_t size = sizeof(listening);
	if (getsockopt(listen_fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) || !listening)
		return ERR_IO;
	install_signals(&unblocked);
	if (FCGX_Init() || FCGX_InitRequest(&fcgi, listen_fd, FCGI_FAIL_ACCEPT_ON_INTR))
		return ERR_IO;
	/* Shared by all siblings: each of them polls first, and the one that comes too late gets EAGAIN. */
	fcntl(listen_fd, F_SETFL, fcntl(listen_fd, F_GETFL) | O_NONBLOCK);
	arena_init_wiping(&arena, (size_t)config->request_memory);
	int64_t idle_since = clock_monotonic_us();
	for (int64_t served = 0; !stop && served < config->max_requests;) {
		bool idle = false;
		if (!wait_for_connection(listen_fd, &unblocked, &idle)) {
			if (idle && config->idle_exit_s && clock_monotonic_us() - idle_since > config->idle_exit_s * 1000000)
				break;
			continue;
		}
		/* From here half a request could hold the process for ever: libfcgi has no read timeout, the watchdog is it. */
		alarm((unsigned)config->request_timeout_s);
		int rc = FCGX_Accept_r(&fcgi);
		alarm(0);
		if (rc == -EAGAIN) /* a sibling was faster */
			continue;
		if (rc < 0) { /* out of descriptors, or a peer that speaks no FastCGI: never a reason to spin or to end */
			log_write(LOG_LEVEL_WARN, "accept_failed", LOG_INT("result", rc));
			clock_sleep_ms(50);
			continue;
		}
		serve_one(gate, &arena, &fcgi, tables, table_count);
		idle_since = clock_monotonic_us();
		served++;
	}
	FCGX_Free(&fcgi, 0);
	arena_release(&arena);
	return OK;
}
