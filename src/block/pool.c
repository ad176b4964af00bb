/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The thread pool of a back end. Threads are started when there is more to do than threads to do
 * it, up to a small number, and stay.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "block/block_internal.h"

#define MAX_THREADS 8

struct block_pool {
    struct block_backend *backend;
    struct lock lock;
    pthread_cond_t work;
    struct block_list queue; /* lock, as all below */
    unsigned queued, threads, idle;
    bool stop;
    pthread_t thread[MAX_THREADS];
};

static void *worker(void *opaque)
{
    struct block_pool *p = opaque;
    lock_take(&p->lock);
    for (;;) {
        struct block_req *r = block_list_take(&p->queue);
        if (r != NULL) {
            p->queued--;
            lock_drop(&p->lock);
            r->result = block_exec(p->backend, r);
            block_channel_finished(r->channel, r);
            lock_take(&p->lock);
        } else if (p->stop) {
            break;
        } else {
            p->idle++;
            lock_wait(&p->lock, &p->work);
            p->idle--;
        }
    }
    lock_drop(&p->lock);
    return NULL;
}

int block_pool_create(struct block_backend *b, struct block_pool **out)
{
    struct block_pool *p = calloc(1, sizeof(*p));
    if (p == NULL)
        return -ENOMEM;
    p->backend = b;
    lock_init(&p->lock, LOCK_BLOCK);
    pthread_cond_init(&p->work, NULL);
    block_list_init(&p->queue);
    *out = p;
    return 0;
}

void block_pool_destroy(struct block_pool *p)
{
    if (p == NULL)
        return;
    lock_take(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->work);
    lock_drop(&p->lock);
    for (unsigned i = 0; i < p->threads; i++)
        pthread_join(p->thread[i], NULL);
    pthread_cond_destroy(&p->work);
    lock_finish(&p->lock);
    free(p);
}

/* One more thread; the lock is held. Signals are the main thread's business. */
static void grow(struct block_pool *p)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    if (pthread_create(&p->thread[p->threads], NULL, worker, p) == 0)
        p->threads++;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void block_pool_submit(struct block_pool *p, struct block_req *r)
{
    lock_take(&p->lock);
    block_list_add(&p->queue, r);
    p->queued++;
    if (p->queued > p->idle && p->threads < MAX_THREADS)
        grow(p);
    bool alone = p->threads == 0;
    if (alone) {
        block_list_take(&p->queue);
        p->queued--;
    }
    pthread_cond_signal(&p->work);
    lock_drop(&p->lock);
    if (alone) { /* the host gives us no thread: slow, but it works */
        r->result = block_exec(p->backend, r);
        block_channel_finished(r->channel, r);
    }
}
