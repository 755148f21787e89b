/**
 * The forms in which addresses are announced: what routers, or those that talk to them, look at. Made for Announcer.
 * Everything here ends within COMMAND_MS.
 */
import { execFile } from 'node:child_process'
import { open, rename, rm, stat } from 'node:fs/promises'
import { promisify } from 'node:util'
import type { AnnouncedAddress, Config } from '../../config.ts'
import { formatPrefix, maskAddress, parseAddress } from '../../dns/address.ts'
import { messageOf } from '../../problem.ts'

/** A form. All calls may be repeated; they reject with an error for operators. */
export interface Form {
  up(): Promise<void>
  down(): Promise<void>
  /** Called each second while it is up: makes sure of it. */
  again?(): Promise<void>
  /** Whether it is up already, as a process before this one has left it; undefined where that can't be known. */
  isUp(): Promise<boolean | undefined>
}

/** What is announced, as prefixes. */
export const announcedPrefixes = (addresses: readonly AnnouncedAddress[]): string[] =>
  addresses.map(({ address, bits }) => {
    const bytes = maskAddress(parseAddress(address)!, bits)
    return formatPrefix({ bytes, bits, family: bytes.length === 4 ? 4 : 6 })
  })

/** The form of the settings. `say`: writes a line to ExaBGP. */
export function formOf(config: Config, say: (line: string) => void): Form {
  const prefixes = announcedPrefixes(config['announce.addresses'])
  const form = config['announce.form']
  switch (form) {
    case 'route':
      return routes(prefixes, config['announce.table'])
    case 'file':
      return file(config['announce.file']!, prefixes)
    case 'exec':
      return program(config['announce.exec'])
    case 'exabgp':
      return exabgp(prefixes, say)
    case 'http':
    case undefined: // whoever asks hears it
      return { up: async () => {}, down: async () => {}, isUp: async () => false }
    default:
      return form satisfies never
  }
}

const COMMAND_MS = 3_000
const run = promisify(execFile)
/** Services often run without the folders of administrators' programs. */
const PATH = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`

async function runProgram(command: string, args: readonly string[]): Promise<string> {
  try {
    const env = { ...process.env, PATH }
    return (await run(command, [...args], { timeout: COMMAND_MS, killSignal: 'SIGKILL', env })).stdout
  } catch (error) {
    const killed: unknown = error instanceof Error ? Reflect.get(error, 'killed') : undefined
    if (killed === true)
      throw new Error(`${[command, ...args].join(' ')}: took longer than ${COMMAND_MS / 1000} s`, { cause: error })
    const stderr: unknown = error instanceof Error ? Reflect.get(error, 'stderr') : undefined
    const [line = ''] = (typeof stderr === 'string' ? stderr : '').trim().split('\n')
    throw new Error(`${[command, ...args].join(' ')}: ${line || messageOf(error)}`, { cause: error })
  }
}

/** Who flushes routes is rare, and to make sure of one takes a process: each so many seconds. */
const ROUTE_SECONDS = 5

/** A function that does its work at each n-th call. */
function each(n: number, work: () => Promise<void>): () => Promise<void> {
  let calls = 0
  return async () => {
    if (++calls % n === 0) await work()
  }
}

const ip = (prefix: string, ...args: readonly string[]): Promise<string> =>
  runProgram('ip', [prefix.includes(':') ? '-6' : '-4', 'route', ...args])

/**
 * A route to each prefix in a table of the kernel that no rule looks up, so that it steers nothing here; a routing daemon
 * learns it from there. The addresses themselves stay on the machine: what still comes is answered.
 */
function routes(prefixes: readonly string[], table: number): Form {
  const where = (prefix: string) => [prefix, 'table', String(table)]
  const isThere = async (prefix: string): Promise<boolean> => {
    // a table is there from its first route on: before that it is an error
    const shown = await ip(prefix, 'show', 'table', String(table), 'exact', prefix).catch(() => '')
    return shown.trim() !== ''
  }
  const up = async (): Promise<void> => {
    await Promise.all(prefixes.map((prefix) => ip(prefix, 'replace', ...where(prefix), 'dev', 'lo', 'proto', 'static')))
  }
  return {
    up,
    down: async () => {
      await Promise.all(
        prefixes.map(async (prefix) => {
          if (await isThere(prefix)) await ip(prefix, 'del', ...where(prefix))
        }),
      )
    },
    again: each(ROUTE_SECONDS, up),
    isUp: async () => (await Promise.all(prefixes.map(isThere))).includes(true),
  }
}

/** A file that is there while the addresses are announced; its time says that whoever writes it lives. */
function file(path: string, prefixes: readonly string[]): Form {
  const up = async (): Promise<void> => {
    const own = `${path}.new`
    await rm(own, { force: true }) // what another user has put there, such as a link, is not written to
    const written = await open(own, 'wx')
    try {
      await written.writeFile(prefixes.map((prefix) => `${prefix}\n`).join(''))
      await written.chmod(0o644) // whoever reads it is another user, whatever the umask of the unit
    } finally {
      await written.close()
    }
    await rename(own, path)
  }
  const isUp = (): Promise<boolean> =>
    stat(path).then(
      () => true,
      () => false,
    )
  return { up, again: up, isUp, down: () => rm(path, { force: true }) }
}

/** A program that is run with `up` or `down`. */
function program([command = '', ...args]: readonly string[]): Form {
  const call = async (verb: 'up' | 'down'): Promise<void> => void (await runProgram(command, [...args, verb]))
  return { up: () => call('up'), down: () => call('down'), isUp: async () => undefined }
}

/** The text API of ExaBGP, which starts this process and reads what it prints. */
function exabgp(prefixes: readonly string[], say: (line: string) => void): Form {
  const tell = (verb: string) => async (): Promise<void> => {
    for (const prefix of prefixes) say(`${verb} route ${prefix} next-hop self`)
  }
  return { up: tell('announce'), down: tell('withdraw'), isUp: async () => undefined }
}
