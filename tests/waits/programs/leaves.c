/* SPDX-License-Identifier: Apache-2.0 */
/* Code that nobody can follow to its caller, which the thread leaves once the process has been stopped. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <unistd.h>

/* Without unwinding information, and where it goes on is in memory. */
void spin(void *const volatile *way);
extern char spin_on[], spin_off[];
__asm__(".text\n.globl spin, spin_on, spin_off\n.type spin, @function\n"
        "spin: subq $40, %rsp\n"
        "spin_on: pause\n"
        "  jmpq *(%rdi)\n"
        "spin_off: addq $40, %rsp\n"
        "  ret\n"
        ".size spin, .-spin\n");

static void *volatile way;
static volatile int watches;

/* A wait with a time limit ends with EINTR when the process is stopped (signal(7)). */
static void *watch(void *unused) {
  struct epoll_event event;
  const int nothing = epoll_create1(EPOLL_CLOEXEC);
  watches = 1;
  if (epoll_wait(nothing, &event, 1, 600 * 1000) < 0 && errno == EINTR) way = spin_off;
  return unused;
}

void spin_until_stopped(int leaves) {
  pthread_t thread;
  way = spin_on;
  if (leaves && pthread_create(&thread, NULL, watch, NULL) != 0) return;
  while (leaves && !watches) usleep(1000);
  spin(&way);
}
