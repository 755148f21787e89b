/**
 * The compile thread, seen from the main thread: a worker at nice 15 that owns the builder and everything it has parsed.
 * It hands out Worlds over pooled shared memory, small tables and Problems, never a model.
 */
import { extname } from 'node:path'
import type { Adoption } from '../answer/adoption.ts'
import { startThread, type Thread } from '../linux/worker.ts'
import type { BuildOrder, BuildSettings, Built } from './build.ts'
import type { CompileThread, FromCompileThread } from './compiler-thread.ts'

export interface Compiler {
  /**
   * Compiles what is on disk now. Worlds come numbered: generation 1, 2, …, also over a restart of the thread.
   * Calls while one is running share the build after it, which goes by the order of the last of them. Rejects when the thread
   * dies (a bug, no memory), or takes longer than it may, which ends it: the old World goes on, the next call has a new thread.
   */
  build(order?: BuildOrder): Promise<Built>
  /** Also in the middle of a build: that one rejects. */
  stop(): Promise<void>
}

/**
 * A million names take 25 s, the largest database 12 s, git's lock and files that change 90 s together: beyond this, at nice 15
 * on a busy host too, a load has met a fault of ours and will not end.
 */
const MOST_MS = 600_000

/** What a compiler tells besides what it builds. */
export interface CompilerNews {
  /** What a build waits for, in words. */
  readonly waits?: (news: string) => void
  /** Why the zones of a build can't be kept for the next start; undefined: they are. */
  readonly kept?: (trouble: string | undefined) => void
}

export function startCompiler(
  settings: BuildSettings,
  adoption: Adoption,
  { waits = () => {}, kept = () => {} }: CompilerNews = {},
): Compiler {
  let generation = 0
  let worker: Thread | undefined
  let running: Promise<Built> | undefined
  let next: Promise<Built> | undefined
  let nextOrder: BuildOrder = {}
  let stopped = false

  function start(): Thread {
    const workerData: CompileThread = { settings, adoption, generation }
    const entry = new URL(`./compiler-thread${extname(import.meta.url)}`, import.meta.url)
    const started = startThread(entry, { name: 'compile', workerData })
    let cause: unknown = 'it ended'
    started.on('error', (error) => (cause = error)) // told by the build that it broke, if it broke one
    started.on('message', (message: FromCompileThread) => {
      if ('news' in message) waits(message.news)
      else if ('keepTrouble' in message) kept(message.keepTrouble ?? undefined)
    })
    started.once('exit', () => {
      if (worker !== started) return
      worker = undefined
      if (running === undefined && !stopped)
        kept(
          `the compile thread died behind a load, and may not have kept its zones for the next start: ${String(cause)}`,
        )
    })
    return started
  }

  function run(order: BuildOrder): Promise<Built> {
    if (stopped) return Promise.reject(new Error('the compiler has been stopped'))
    const asked = (worker ??= start())
    return new Promise<Built>((resolve, reject) => {
      let cause: unknown = 'it ended'
      const onError = (error: unknown): void => void (cause = error)
      const onExit = (): void => settle(() => reject(new Error(`the compile thread died: ${String(cause)}`, { cause })))
      const onMessage = (message: FromCompileThread): void => {
        if (!('built' in message)) return
        const { built } = message
        generation = built.made?.world.generation ?? generation
        settle(() => resolve(built))
      }
      const late = setTimeout(() => {
        settle(() => reject(new Error(`the load took longer than ${MOST_MS / 1000} s and was ended`)))
        if (worker === asked) worker = undefined
        void asked.terminate()
      }, MOST_MS)
      const settle = (how: () => void): void => {
        clearTimeout(late)
        asked.off('error', onError)
        asked.off('exit', onExit)
        asked.off('message', onMessage)
        how()
      }
      asked.on('error', onError)
      asked.on('exit', onExit)
      asked.on('message', onMessage)
      asked.postMessage(order)
    })
  }

  function begin(order: BuildOrder): Promise<Built> {
    const build = run(order).finally(() => {
      if (running === build) running = undefined
    })
    running = build
    return build
  }

  return {
    build(order = {}) {
      if (running === undefined) return begin(order)
      nextOrder = order
      next ??= running
        .catch(() => undefined)
        .then(() => {
          next = undefined
          return begin(nextOrder)
        })
      return next
    },
    async stop() {
      stopped = true
      await worker?.terminate()
    },
  }
}
