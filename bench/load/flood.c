/* Datagrams at a fixed rate, whether anyone answers or not.
 *
 *     flood PORT KIND RATE TARGET SECONDS
 *
 * KIND is `junk` (bytes that are no announcement), `adds` (of a thousand names in turn, to the port TARGET) or `mixed` (one after
 * the other, and now and then `list` or `status`). They leave in pieces, a few thousand times a second.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { PIECE = 16, LONGEST = 128, NAMES = 1000 };

static size_t junk(char *text, unsigned number) {
    for (int i = 0; i < 64; i++) text[i] = (char)(number * 31 + i * 7);
    return 64;
}

static size_t add(char *text, unsigned number, const char *target) {
    return (size_t)snprintf(text, LONGEST, "add flood-%u.example.com %s", number % NAMES, target);
}

static size_t mixed(char *text, unsigned number, const char *target) {
    switch (number % 16) {
    case 0: return (size_t)snprintf(text, LONGEST, "list");
    case 8: return (size_t)snprintf(text, LONGEST, "status");
    default: return number % 2 ? junk(text, number) : add(text, number, target);
    }
}

static size_t datagram(char *text, const char *kind, unsigned number, const char *target) {
    if (strcmp(kind, "junk") == 0) return junk(text, number);
    if (strcmp(kind, "adds") == 0) return add(text, number, target);
    return mixed(text, number, target);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void send_piece(int fd, const char *kind, unsigned first, const char *target) {
    static char texts[PIECE][LONGEST];
    struct iovec parts[PIECE];
    struct mmsghdr messages[PIECE];
    memset(messages, 0, sizeof messages);
    for (unsigned i = 0; i < PIECE; i++) {
        parts[i] = (struct iovec){texts[i], datagram(texts[i], kind, first + i, target)};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
    }
    /* A full buffer of the receiver drops them, which is no error here. */
    (void)sendmmsg(fd, messages, PIECE, 0);
}

int main(int count, char **words) {
    if (count != 6) {
        fprintf(stderr, "flood PORT KIND RATE TARGET SECONDS\n");
        return 2;
    }
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(words[1]))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0) {
        perror("flood");
        return 1;
    }
    double rate = atof(words[3]), begun = now(), end = begun + atof(words[5]);
    unsigned sent = 0;
    for (double moment = begun; moment < end; moment = now()) {
        while (sent < (moment - begun) * rate) {
            send_piece(fd, words[2], sent, words[4]);
            sent += PIECE;
        }
        nanosleep(&(struct timespec){.tv_nsec = 200 * 1000}, NULL);
    }
    printf("sent %u in %.1f s\n", sent, now() - begun);
    return 0;
}
