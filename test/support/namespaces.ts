/**
 * Linux network namespaces, named PREFIX-PID-NAME after the process that made them. Those of processes that are no more are swept
 * away by the next one. It needs root.
 */
import { execFileSync, spawnSync } from 'node:child_process'

let made = 0

/** undefined: this process may make namespaces; else why it can't. */
export function whyNoNamespaces(): string | undefined {
  const name = `probe-${process.pid}`
  const { status, stderr, error } = spawnSync('ip', ['netns', 'add', name], { encoding: 'utf8' })
  if (status === 0) spawnSync('ip', ['netns', 'del', name])
  return status === 0 ? undefined : (error?.message ?? stderr.trim())
}

/** Some namespaces, which end together. */
export class Namespaces {
  readonly #prefix: string
  readonly #names: readonly string[]

  /** Makes them. `prefix`: letters. */
  constructor(prefix: string, names: readonly string[]) {
    sweep(prefix)
    this.#prefix = `${prefix}-${process.pid}-${made++}-`
    this.#names = names
    try {
      for (const name of names) addNamespace(this.of(name))
    } catch (error) {
      this.close()
      throw error
    }
  }

  /** The name that `ip netns` knows it by. */
  of(name: string): string {
    return this.#prefix + name
  }

  /** Before a command: runs it there. */
  on(name: string): string[] {
    return ['ip', 'netns', 'exec', this.of(name)]
  }

  /** Lines of `ip -batch`, there. */
  batch(name: string, lines: readonly string[]): void {
    if (lines.length > 0) execFileSync('ip', ['-n', this.of(name), '-batch', '-'], { input: lines.join('\n') })
  }

  /** Sets values below /proc/sys there. */
  sysctl(name: string, values: Readonly<Record<string, string | number>>): void {
    const lines = Object.entries(values).map(([key, value]) => `echo ${value} > /proc/sys/${key}`)
    execFileSync('ip', ['netns', 'exec', this.of(name), 'sh', '-ec', lines.join('\n')])
  }

  /** Ends whatever still runs there. */
  close(): void {
    for (const name of this.#names) removeNamespace(this.of(name))
  }
}

function addNamespace(name: string): void {
  const { status, stderr, error } = spawnSync('ip', ['netns', 'add', name], { encoding: 'utf8' })
  if (status === 0) return
  const why = error?.message ?? stderr.trim()
  throw new Error(`this needs network namespaces (root, iproute2, CAP_SYS_ADMIN in a container): ${why}`)
}

/** With the processes in it, which nobody can reach any more. */
function removeNamespace(name: string): void {
  const { stdout } = spawnSync('ip', ['netns', 'pids', name], { encoding: 'utf8' })
  for (const pid of (stdout ?? '').split('\n').filter((line) => line !== '')) kill(Number(pid))
  spawnSync('ip', ['netns', 'del', name])
}

/** Removes what processes left that could not clean up. */
function sweep(prefix: string): void {
  const { stdout } = spawnSync('ip', ['netns', 'list'], { encoding: 'utf8' })
  for (const [name = ''] of (stdout ?? '').split('\n').map((line) => line.split(' '))) {
    const owner = new RegExp(`^${prefix}-(\\d+)-`).exec(name)?.[1]
    if (owner !== undefined && !isRunning(Number(owner))) removeNamespace(name)
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // it has just ended
  }
}
