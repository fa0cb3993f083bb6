/* A fixed-answer HTTP/1.1 server: what a request costs when nothing has to be decided.
 *
 *     answer PORT ORDERS
 *
 * It is the floor under the file scenarios, and the origin behind the proxies. One thread and one edge-triggered epoll;
 * a keep-alive request costs one recv and one sendmsg, and a share of an epoll_wait. Answers are built at the start;
 * large bodies leave by sendfile, and bodies of requests are dropped in the kernel (MSG_TRUNC). It trusts its peers: a
 * request that it does not understand ends the connection or is answered with 404. ORDERS is a file, which is kept in memory and
 * answered as JSON.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum {
    HEAD = 4096,           /* bytes of unread requests a connection may have: sixteen pipelined ones fit */
    QUEUE = 32,            /* pieces of answers on their way: a head and a body for each of those */
    EVENTS = 256,
    LARGE = 64 * 1024,     /* a body of this size is cheaper to send from a file than to copy */
    CHUNKS = 8,            /* of the chunked answer */
    DROP = 4 * 1024 * 1024 /* bytes of a body that one call drops */
};

struct answer {
    const char *path;
    struct iovec heads[2]; /* the second one says `Connection: close` */
    char *dates[2];
    struct iovec body;
    int file; /* has a large body; else -1 */
};

struct connection {
    int fd;
    bool closing;                 /* the request said so: close after the answer */
    const struct answer *waiting; /* what to answer when the body is over */
    size_t body_left;
    size_t have;         /* bytes of `head` in use */
    size_t first, count; /* the pieces of `queue` that are still to be sent, and after them */
    const struct answer *file; /* what is still to be sent of a file */
    off_t file_sent;
    struct iovec queue[QUEUE];
    char head[HEAD];
};

enum which { ONE_K, HUNDRED_K, ONE_M, TEN_M, ORDERS, CHUNKED, UPLOAD, SWALLOWED, NOT_FOUND, ANSWERS };
static struct answer answers[ANSWERS];
static char count_text[] = "00000000000000000000"; /* the body of /swallowed: */
static size_t swallowed;                           /* bytes of request bodies so far */
static int epoll_fd, listener;

static void build_answers(const char *orders);
static void listen_on(int port);
static void tell_time(void);
static void accept_all(void);
static void serve(struct connection *c, bool ended);

int main(int argc, char **argv)
{
    if (argc != 3)
        return fprintf(stderr, "usage: answer PORT ORDERS\n"), 2;
    signal(SIGPIPE, SIG_IGN);
    build_answers(argv[2]);
    listen_on(atoi(argv[1]));
    struct epoll_event events[EVENTS];
    for (;;) {
        int n = epoll_wait(epoll_fd, events, EVENTS, -1);
        tell_time();
        for (int i = 0; i < n; i++)
            if (events[i].data.ptr == NULL)
                accept_all();
            else
                serve(events[i].data.ptr, events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
    }
}

/* ---- a connection */

static bool take(struct connection *c);
static bool flush(struct connection *c);
static bool send_file(struct connection *c);
static ssize_t receive(struct connection *c, bool *drained);
static void drop(struct connection *c);

/* Reads, answers and sends until the peer has to do something. `ended`: the end of its stream may be next, so a read that
 * was not filled does not mean that nothing more is there. */
static void serve(struct connection *c, bool ended)
{
    bool drained = false;
    for (;;) {
        if (!flush(c))
            return;
        if (take(c))
            continue;
        if (c->closing && !c->waiting)
            return drop(c);
        if (drained && !ended)
            return;
        ssize_t n = receive(c, &drained);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0)
            return drop(c);
    }
}

static void drop(struct connection *c)
{
    close(c->fd);
    free(c);
}

static ssize_t receive(struct connection *c, bool *drained)
{
    size_t room = HEAD - c->have;
    if (c->body_left > 0)
        room = c->body_left < DROP ? c->body_left : DROP;
    ssize_t n = c->body_left > 0 ? recv(c->fd, NULL, room, MSG_TRUNC) : recv(c->fd, c->head + c->have, room, 0);
    if (n <= 0)
        return n;
    *drained = (size_t)n < room;
    if (c->body_left == 0)
        return c->have += n;
    swallowed += n;
    c->body_left -= n;
    return n;
}

/* Sends what is queued. False: the connection is gone, or waits until it is writable. */
static bool flush(struct connection *c)
{
    while (c->first < c->count) {
        struct msghdr message = {.msg_iov = c->queue + c->first, .msg_iovlen = c->count - c->first};
        ssize_t n = sendmsg(c->fd, &message, c->file ? MSG_MORE : 0);
        if (n < 0 && errno == EAGAIN)
            return false;
        if (n < 0)
            return drop(c), false;
        for (; c->first < c->count && (size_t)n >= c->queue[c->first].iov_len; c->first++)
            n -= c->queue[c->first].iov_len;
        if (c->first < c->count) {
            c->queue[c->first].iov_base = (char *)c->queue[c->first].iov_base + n;
            c->queue[c->first].iov_len -= n;
        }
    }
    c->first = c->count = 0;
    return !c->file || send_file(c);
}

static bool send_file(struct connection *c)
{
    while ((size_t)c->file_sent < c->file->body.iov_len) {
        ssize_t n = sendfile(c->fd, c->file->file, &c->file_sent, c->file->body.iov_len - c->file_sent);
        if (n < 0 && errno == EAGAIN)
            return false;
        if (n <= 0)
            return drop(c), false;
    }
    c->file = NULL;
    return true;
}

/* ---- a request */

static bool take_one(struct connection *c);
static bool take_head(struct connection *c);
static const struct answer *find(const char *head, size_t length);
static size_t length_of_body(const char *head, size_t length);

/* Queues the answers of all requests that are here whole, as far as there is room. */
static bool take(struct connection *c)
{
    while (c->count + 2 <= QUEUE && !c->file && take_one(c))
        ;
    return c->count > 0;
}

static bool take_one(struct connection *c)
{
    if (!c->waiting && !take_head(c))
        return false;
    if (c->body_left > 0)
        return false;
    if (c->waiting == &answers[SWALLOWED])
        snprintf(count_text, sizeof count_text, "%020zu", swallowed);
    c->queue[c->count++] = c->waiting->heads[c->closing];
    if (c->waiting->file >= 0) {
        c->file = c->waiting;
        c->file_sent = 0;
    } else {
        c->queue[c->count++] = c->waiting->body;
    }
    c->waiting = NULL;
    return true;
}

static bool take_head(struct connection *c)
{
    char *end = c->closing ? NULL : memmem(c->head, c->have, "\r\n\r\n", 4);
    if (!end)
        return false;
    size_t length = end + 4 - c->head, rest = c->have - length;
    c->waiting = find(c->head, length);
    c->closing = memmem(c->head, length, "onnection: close", 16);
    size_t body = *c->head == 'P' ? length_of_body(c->head, length) : 0;
    size_t here = body < rest ? body : rest;
    swallowed += here;
    c->body_left = body - here;
    c->have = rest - here;
    memmove(c->head, end + 4 + here, c->have);
    return true;
}

static const struct answer *find(const char *head, size_t length)
{
    const char *path = memchr(head, '/', length), *end = head + length;
    for (int i = 0; path && i < NOT_FOUND; i++) {
        size_t n = strlen(answers[i].path);
        if (path + n < end && memcmp(path, answers[i].path, n) == 0 && path[n] == ' ')
            return &answers[i];
    }
    return &answers[NOT_FOUND];
}

/* Proxies write the field's name as they like. */
static size_t length_of_body(const char *head, size_t length)
{
    static const char name[] = "\r\ncontent-length:";
    for (size_t i = 0; i + sizeof name < length; i++)
        if (strncasecmp(head + i, name, sizeof name - 1) == 0)
            return strtoull(head + i + sizeof name - 1, NULL, 10);
    return 0;
}

/* ---- accepting */

static void listen_on(int port)
{
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* accepted sockets inherit it */
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 16384)) {
        perror("answer: listen");
        exit(1);
    }
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event);
}

static void accept_all(void)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct connection *c = malloc(sizeof *c);
        memset(c, 0, offsetof(struct connection, queue));
        c->fd = fd;
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
    }
    if (errno != EAGAIN && errno != ECONNABORTED)
        perror("answer: accept");
}

/* ---- the answers */

static char *xs(size_t length)
{
    return memset(malloc(length), 'x', length);
}

/* Eight chunks of 2 KiB, as a program sends that makes its page in pieces. */
static char *chunks(size_t *length)
{
    char *text = malloc(CHUNKS * (2048 + 7) + 6), *at = text;
    for (int i = 0; i < CHUNKS; i++) {
        at = stpcpy(at, "800\r\n");
        memset(at, 'x', 2048);
        at = stpcpy(at + 2048, "\r\n");
    }
    *length = stpcpy(at, "0\r\n\r\n") - text;
    return text;
}

static char *content(const char *path, size_t *length)
{
    struct stat status;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    char *text = file >= 0 && fstat(file, &status) == 0 ? malloc(status.st_size) : NULL;
    if (!text || read(file, text, status.st_size) != status.st_size) {
        perror(path);
        exit(1);
    }
    close(file);
    *length = status.st_size;
    return text;
}

/* In the working folder, so that the disk and its cache are those of the files that others serve. */
static int file_of(const char *body, size_t length)
{
    if (length < LARGE)
        return -1;
    char name[] = "body-XXXXXX";
    int file = mkostemp(name, O_CLOEXEC);
    if (file < 0 || unlink(name) || write(file, body, length) != (ssize_t)length) {
        perror("answer: a file for a body");
        exit(1);
    }
    return file;
}

static void build(enum which which, const char *path, const char *body, size_t length)
{
    struct answer *a = &answers[which];
    char framing[64] = "Transfer-Encoding: chunked";
    if (which != CHUNKED)
        snprintf(framing, sizeof framing, "Content-Length: %zu", length);
    for (int closing = 0; closing < 2; closing++) {
        char *head;
        int n = asprintf(&head,
                         "HTTP/1.1 %s\r\nServer: answer\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
                         "Content-Type: %s\r\n%s%s\r\n\r\n",
                         which == NOT_FOUND ? "404 Not Found" : "200 OK",
                         which == ORDERS ? "application/json" : "text/plain", framing, closing ? "\r\nConnection: close" : "");
        a->heads[closing] = (struct iovec){head, n};
        a->dates[closing] = strstr(head, "Date: ") + 6;
    }
    a->path = path;
    a->body = (struct iovec){(char *)body, length};
    a->file = file_of(body, length);
}

static void build_answers(const char *orders)
{
    size_t length, length_of_orders;
    char *pieces = chunks(&length), *list = content(orders, &length_of_orders);
    build(ONE_K, "/1k.txt", xs(1 << 10), 1 << 10);
    build(HUNDRED_K, "/100k.txt", xs(100 << 10), 100 << 10);
    build(ONE_M, "/1m.txt", xs(1 << 20), 1 << 20);
    build(TEN_M, "/10m.txt", xs(10 << 20), 10 << 20);
    build(ORDERS, "/orders.json", list, length_of_orders);
    build(CHUNKED, "/chunked", pieces, length);
    build(UPLOAD, "/upload", "received\n", 9);
    build(SWALLOWED, "/swallowed", count_text, sizeof count_text - 1);
    build(NOT_FOUND, "", "nothing\n", 8);
}

/* Writes the date into every head, once a second. */
static void tell_time(void)
{
    static time_t told;
    time_t now = time(NULL);
    if (now == told)
        return;
    told = now;
    char date[32];
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime(&now));
    for (int i = 0; i < 2 * ANSWERS; i++)
        memcpy(answers[i / 2].dates[i % 2], date, 29);
}
