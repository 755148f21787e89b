/**
 * Starts worker threads. When the system refuses one (pids.max of the control group, RLIMIT_NPROC, memory), `new
 * Worker` throws; startThread() gives a Thread that exits at once instead, so that callers handle it like a thread that
 * died, and try again.
 */
import { EventEmitter } from 'node:events'
import { extname } from 'node:path'
import { Worker, type WorkerOptions } from 'node:worker_threads'

/** The methods of a Worker that are used. */
export interface Thread extends Pick<Worker, 'postMessage' | 'terminate'> {
  on(event: Event, listener: Listener): unknown
  once(event: Event, listener: Listener): unknown
  off(event: Event, listener: Listener): unknown
}

type Event = 'online' | 'message' | 'error' | 'exit'
/** A listener of any event. */
type Listener = Parameters<EventEmitter['on']>[1]

/** The program of a thread or process: `name` beside the module `of`, TypeScript or compiled as that is. */
export const entryBeside = (of: string, name: string): URL => new URL(`./${name}${extname(of)}`, of)

/** Resolves when the thread has ended. */
export const endOf = (thread: Thread): Promise<void> => new Promise((resolve) => thread.once('exit', () => resolve()))

/** Starts a thread. The caller must listen for 'error' and 'exit'. */
export function startThread(entry: URL, options: WorkerOptions): Thread {
  try {
    return new Worker(entry, options)
  } catch (error) {
    return new FailedThread(new Error(`the system gives no thread: ${String(error)}`, { cause: error }))
  }
}

class FailedThread extends EventEmitter implements Thread {
  constructor(error: Error) {
    super()
    setImmediate(() => {
      this.emit('error', error)
      this.emit('exit', 1)
    })
  }

  postMessage(): void {}

  async terminate(): Promise<number> {
    return 1
  }
}
