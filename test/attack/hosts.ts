/** The hosts of an attack's scene: network namespaces of this machine, and the processes on them. It needs root. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'

let scenes = 0

export class Hosts<Host extends string> {
  /** Of the namespaces' names. */
  readonly prefix: string
  readonly #hosts: readonly Host[]
  readonly #children = new Set<ChildProcess>()

  constructor(scene: string, hosts: readonly Host[]) {
    this.prefix = `${scene}-${process.pid}-${scenes++}-`
    this.#hosts = hosts
    try {
      for (const host of hosts) ip('netns', 'add', this.prefix + host)
    } catch (error) {
      this.close()
      throw error
    }
  }

  /** Runs lines of ip(8) on a host. */
  batch(host: Host, lines: readonly string[]): void {
    execFileSync('ip', ['-n', this.prefix + host, '-batch', '-'], { input: lines.join('\n') })
  }

  /** In a session of its own, whose scheduling group goes before the machine's other work. */
  run(host: Host, command: readonly string[], out: number | 'pipe'): ChildProcess {
    const first = 'echo -20 2>/dev/null >/proc/self/autogroup; exec "$@"'
    const child = spawn('ip', ['netns', 'exec', this.prefix + host, 'sh', '-c', first, 'sh', ...command], {
      stdio: out === 'pipe' ? ['pipe', 'pipe', 'inherit'] : ['ignore', out, out],
      detached: true,
    })
    this.#children.add(child)
    child.once('exit', () => this.#children.delete(child))
    return child
  }

  /** Ends all processes and the namespaces. */
  close(): void {
    for (const child of this.#children) child.kill('SIGKILL')
    for (const host of this.#hosts) {
      try {
        ip('netns', 'del', this.prefix + host)
      } catch {
        // it was never made
      }
    }
  }
}

/** Ends a process in order, or after 10 s at once. */
export async function stop({ process: child }: { readonly process: ChildProcess }): Promise<void> {
  if (child.exitCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), 10_000)
  await gone
  clearTimeout(timer)
}

const ip = (...args: string[]): void => void execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] })
