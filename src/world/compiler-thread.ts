/** Entry of the compile thread: builds when asked, numbers the Worlds, and takes their memory from the pool. */
import { access } from 'node:fs/promises'
import { getPriority, setPriority } from 'node:os'
import { parentPort, workerData } from 'node:worker_threads'
import type { Adoption } from '../answer/adoption.ts'
import { type BuildOrder, type BuildSettings, type Built, makeBuilder } from './build.ts'
import { makePool } from './pool.ts'

/** As workerData. */
export interface CompileThread {
  readonly settings: BuildSettings
  readonly adoption: Adoption
  /** The last World's: the next has one more. */
  readonly generation: number
}

/** What it says: how a build ended, what one waits for, or why its zones can't be kept for the next start (null: they are). */
export type FromCompileThread =
  | { readonly built: Built }
  | { readonly news: string }
  | { readonly keepTrouble: string | null }

const { settings, adoption, generation: last }: CompileThread = workerData
const port = parentPort!

/**
 * Linux has a priority for each thread, and setPriority's 0 is the calling one; elsewhere it would be the process. New
 * threads inherit it: libuv's, which are everybody's, are there after a first use.
 */
const NICE = 15
await access(settings.zones).catch(() => {})
if (process.platform === 'linux') setPriority(Math.max(NICE, getPriority()))

const pool = makePool(adoption)
const builder = makeBuilder(settings, pool.allocate)
let generation = last

/** A bug ends this thread with all that it keeps: the next build starts from nothing. */
async function build(order: BuildOrder): Promise<void> {
  await make(order)
  // behind what waits for it
  say({ keepTrouble: builder.keep() ?? null })
}

async function make(order: BuildOrder): Promise<void> {
  const { made, ...rest } = await builder.build(order, (news) => say({ news }))
  if (made === undefined) {
    pool.seal(undefined)
    return say({ built: rest })
  }
  generation++
  const world = { ...made.world, generation }
  pool.seal(world)
  say({ built: { ...rest, made: { ...made, world } } })
}

const say = (message: FromCompileThread): void => port.postMessage(message)

port.on('message', (order: BuildOrder) => void build(order))
