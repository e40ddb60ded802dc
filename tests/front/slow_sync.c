/* Preloaded into the program: makes its syncs slow or lets them fail, as a file says. SLOW_SYNC_FILE
   names the file. It contains seconds, or "fail". A wait ends early when the file changes. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double wanted(void) { /* seconds; below 0: fail */
  char text[32] = {0};
  const char *name = getenv("SLOW_SYNC_FILE");
  int fd = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
  if (fd < 0) return 0;
  ssize_t length = read(fd, text, sizeof text - 1);
  close(fd);
  if (length > 0 && strncmp(text, "fail", 4) == 0) return -1;
  return length > 0 ? atof(text) : 0;
}

static int delayed(const char *name, int fd) {
  const struct timespec step = {0, 10 * 1000 * 1000};
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
  double waited = 0, seconds;
  while ((seconds = wanted()) > waited) {
    nanosleep(&step, NULL);
    waited += 0.01;
  }
  if (seconds < 0) {
    errno = EIO;
    return -1;
  }
  return real(fd);
}

int fdatasync(int fd) { return delayed("fdatasync", fd); }
int fsync(int fd) { return delayed("fsync", fd); }
