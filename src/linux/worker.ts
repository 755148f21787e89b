/**
 * Threads of this process. Where the system has none to give (pids.max of the control group, RLIMIT_NPROC, memory), `new Worker`
 * throws: then what is given here is a thread that ends at once, so that whoever replaces dead threads goes on trying.
 */
import { EventEmitter } from 'node:events'
import { extname } from 'node:path'
import { Worker, type WorkerOptions } from 'node:worker_threads'

/** What is used of a Worker. */
export interface Thread extends Pick<Worker, 'postMessage' | 'terminate'> {
  on(event: Event, listener: Listener): unknown
  once(event: Event, listener: Listener): unknown
  off(event: Event, listener: Listener): unknown
}

type Event = 'online' | 'message' | 'error' | 'exit'
/** As an EventEmitter takes it. */
type Listener = Parameters<EventEmitter['on']>[1]

/** The program of a thread or process: `name` beside the module `of`, TypeScript or compiled as that is. */
export const entryBeside = (of: string, name: string): URL => new URL(`./${name}${extname(of)}`, of)

/** Resolves when the thread has ended. */
export const endOf = (thread: Thread): Promise<void> => new Promise((resolve) => thread.once('exit', () => resolve()))

/** Whoever starts one listens for its 'error' and 'exit'. */
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
