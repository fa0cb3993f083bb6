/* A load generator for what wrk cannot do: a fixed rate, and a count that begins when all connections are warm.
 *
 *     pace PORT CONNECTIONS WARM_UP SECONDS RATE <REQUEST
 *
 * Every connection asks once before anything is measured. With RATE 0, each asks again as soon as it has its answer.
 * Otherwise requests fall due at random moments (exponential gaps, the same ones for each server), RATE of them a second,
 * whether or not earlier ones were answered; their latency counts from the moment they were due, so a server that
 * stalls cannot hide it. It says `begin` after WARM_UP seconds, and SECONDS later
 *
 *     end requests=N seconds=S p50=µs p99=µs
 *
 * Anything but a whole 2xx answer ends it with status 1. An answer, head and body, may have 4 KiB.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ANSWER = 4096, EVENTS = 256, DUE = 1 << 20, SAMPLES = 1 << 24 };

struct connection {
    int fd;
    double due; /* when the request that it asks now was due */
    size_t have;
    char answer[ANSWER];
};

static char request[16384];
static size_t request_length;
static double rate, next_due, begin, end;
static struct connection **idle;            /* a stack: those that wait for something to do */
static size_t idle_count;
static double due[DUE];                     /* a ring: requests that fell due while all connections were busy */
static size_t due_first, due_last;
static float *samples;                      /* latencies of the measured time, in µs */
static size_t sample_count;
static int epoll_fd;

static void connect_all(int port, int count);
static void run(double warm_up, double seconds);
static void report(double seconds);

int main(int argc, char **argv)
{
    if (argc != 6)
        return fprintf(stderr, "usage: pace PORT CONNECTIONS WARM_UP SECONDS RATE <REQUEST\n"), 2;
    rate = atof(argv[5]);
    request_length = fread(request, 1, sizeof request, stdin);
    samples = malloc(SAMPLES * sizeof *samples);
    connect_all(atoi(argv[1]), atoi(argv[2]));
    run(atof(argv[3]), atof(argv[4]));
    report(atof(argv[4]));
}

static void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("pace: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    exit(1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

/* ---- the run */

static void ask(struct connection *c, double due);
static void ask_what_is_due(double time);
static void listen_until(double moment);

static void run(double warm_up, double seconds)
{
    prctl(PR_SET_TIMERSLACK, 1);
    next_due = now();
    begin = next_due + warm_up;
    end = begin + seconds;
    while (rate == 0 && idle_count > 0)
        ask(idle[--idle_count], now());
    bool said = false;
    for (double time = now(); time < end; time = now()) {
        if (!said && time >= begin) {
            said = true;
            puts("begin");
            fflush(stdout);
        }
        if (rate > 0)
            ask_what_is_due(time);
        double until = said ? end : begin;
        listen_until(rate > 0 && next_due < until ? next_due : until);
    }
}

/* The gap to the next request, exponential, from a fixed seed. */
static double gap(void)
{
    static uint64_t state = 88172645463325252u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return -log(((state >> 11) + 1) * 0x1p-53) / rate;
}

static void ask_what_is_due(double time)
{
    for (; next_due <= time; next_due += gap()) {
        if (due_last - due_first == DUE)
            fail("the server is %d requests behind", DUE);
        due[due_last++ % DUE] = next_due;
    }
    while (idle_count > 0 && due_first < due_last)
        ask(idle[--idle_count], due[due_first++ % DUE]);
}

static void ask(struct connection *c, double due)
{
    c->due = due;
    c->have = 0;
    if (send(c->fd, request, request_length, MSG_NOSIGNAL) != (ssize_t)request_length)
        fail("sending: %s", strerror(errno));
}

static bool read_answer(struct connection *c);
static void answered(struct connection *c);

static void listen_until(double moment)
{
    struct epoll_event events[EVENTS];
    double wait = moment - now();
    if (wait < 0)
        wait = 0;
    struct timespec timeout = {.tv_sec = wait, .tv_nsec = (wait - floor(wait)) * 1e9};
    int n = epoll_pwait2(epoll_fd, events, EVENTS, &timeout, NULL);
    for (int i = 0; i < n; i++)
        if (read_answer(events[i].data.ptr))
            answered(events[i].data.ptr);
}

static void answered(struct connection *c)
{
    double time = now();
    if (time >= begin && time < end && sample_count < SAMPLES)
        samples[sample_count++] = (time - c->due) * 1e6;
    if (rate == 0)
        ask(c, time);
    else if (due_first < due_last)
        ask(c, due[due_first++ % DUE]);
    else
        idle[idle_count++] = c;
}

/* ---- an answer */

static size_t whole_length(struct connection *c);

/* True when the answer is there to its last byte. */
static bool read_answer(struct connection *c)
{
    ssize_t n = recv(c->fd, c->answer + c->have, ANSWER - c->have, 0);
    if (n < 0 && errno == EAGAIN)
        return false;
    if (n <= 0)
        fail("reading an answer: %s", n ? strerror(errno) : "the connection was closed");
    c->have += n;
    size_t length = whole_length(c);
    if (length > ANSWER || (length && c->have > length))
        fail("an answer has %zu bytes, and %zu came", length, c->have);
    return length && c->have == length;
}

/* Bytes of the answer, by its head; 0 as long as that is not whole. */
static size_t whole_length(struct connection *c)
{
    static const char name[] = "\r\ncontent-length:";
    char *blank = memmem(c->answer, c->have, "\r\n\r\n", 4);
    if (!blank)
        return 0;
    if (memcmp(c->answer, "HTTP/1.1 2", 10) != 0)
        fail("an answer is not 2xx: %.*s", (int)strcspn(c->answer, "\r"), c->answer);
    for (char *at = c->answer; at < blank; at = memmem(at + 2, blank + 2 - at - 2, "\r\n", 2))
        if (strncasecmp(at, name, sizeof name - 1) == 0)
            return blank + 4 - c->answer + strtoull(at + sizeof name - 1, NULL, 10);
    fail("an answer has no Content-Length");
    return 0;
}

/* ---- connections */

static void raise_limit(void)
{
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

/* Connects and asks once, one after the other, so that no accept queue overflows. */
static struct connection *connect_one(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct connection *c = calloc(1, sizeof *c);
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof address))
        fail("connecting: %s", strerror(errno));
    ask(c, 0);
    while (!read_answer(c))
        ;
    return c;
}

static void connect_all(int port, int count)
{
    raise_limit();
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    idle = calloc(count, sizeof *idle);
    for (int i = 0; i < count; i++) {
        struct connection *c = connect_one(port);
        struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = c};
        int on = 1;
        if (ioctl(c->fd, FIONBIO, &on) || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event))
            fail("watching a connection: %s", strerror(errno));
        idle[idle_count++] = c;
    }
}

/* ---- the result */

static int by_size(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void report(double seconds)
{
    if (sample_count == 0)
        fail("no answer came");
    qsort(samples, sample_count, sizeof *samples, by_size);
    printf("end requests=%zu seconds=%.3f p50=%.1f p99=%.1f\n", sample_count, seconds, samples[sample_count / 2],
           samples[(size_t)(sample_count * 0.99)]);
}
