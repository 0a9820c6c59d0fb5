/* The first program of a guest: carries out /orders, one a line, and says on the console what came of each.
 *
 *   mkdir PATH | write PATH VALUE | read PATH | pin CPU
 *
 * `pin` asks for one CPU the way any program does. Answers are `ORDER => VALUE`, or `=> errno N`. Then the machine goes off. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <unistd.h>

static int put(const char *path, const char *value) {
    int handle = open(path, O_WRONLY);
    if (handle < 0)
        return errno;
    int failed = write(handle, value, strlen(value)) < 0 ? errno : 0;
    close(handle);
    return failed;
}

static int pin(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return sched_setaffinity(0, sizeof set, &set) ? errno : 0;
}

static void show(const char *order, const char *path) {
    char text[256] = "";
    int handle = open(path, O_RDONLY);
    if (handle < 0 || read(handle, text, sizeof text - 1) < 0)
        snprintf(text, sizeof text, "errno %d", errno);
    text[strcspn(text, "\n")] = 0;
    printf("%s => %s\n", order, text);
}

int main(void) {
    char line[512], order[512];
    mount("proc", "/proc", "proc", 0, NULL);
    mount("sysfs", "/sys", "sysfs", 0, NULL);
    mount("cgroup2", "/sys/fs/cgroup", "cgroup2", 0, NULL);
    FILE *orders = fopen("/orders", "r");
    while (orders && fgets(line, sizeof line, orders)) {
        line[strcspn(line, "\n")] = 0;
        strcpy(order, line);
        char *verb = strtok(line, " "), *path = strtok(NULL, " "), *value = strtok(NULL, "");
        if (!verb || !path)
            continue;
        if (!strcmp(verb, "read")) {
            show(order, path);
            continue;
        }
        int failed = !strcmp(verb, "mkdir") ? (mkdir(path, 0755) ? errno : 0)
                     : !strcmp(verb, "pin") ? pin(atoi(path))
                                            : put(path, value ? value : "");
        printf("%s => errno %d\n", order, failed);
    }
    printf("all orders done\n");
    fflush(stdout);
    sync();
    reboot(RB_POWER_OFF);
    return 0;
}
