/**
 * The check `exec`: a program of this host judges the target. Zone files only name a command; what it runs stands in the
 * node setting `probe.exec`, so whoever writes zones can't run what he likes. No shell; it is told what to check by
 * variables, and nothing of the prober's own environment, which may hold secrets. It leads a process group of its own,
 * which is killed as a whole when the check ends, so that its children end with it.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { isIP } from 'node:net'
import { attempt, printable, type TargetOf } from './attempt.ts'
import type { Observation } from './observation.ts'

/** The node setting `probe.exec`: by name, the program and its arguments. */
export type Commands = Readonly<Record<string, readonly string[]>>

/** As much of the output as is kept; the rest is read and dropped, so that no program waits for a reader. */
const OUTPUT_BYTES = 4096
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** Never rejects; ends within the check's timeout, and the program with it. Exit code 0 passes. */
export function checkExec(target: TargetOf<'exec'>, commands: Commands): Promise<Observation> {
  const { check } = target
  return attempt(check.timeoutMs, 'no end of the command', (self) => {
    const [program, ...words] = Object.hasOwn(commands, check.command) ? commands[check.command]! : []
    if (program === undefined) {
      self.unable(`probe.exec of this prober has no command ${check.command}`)
      return () => {}
    }
    const child = spawn(program, words, {
      cwd: '/',
      env: environment(target),
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    })
    let output = Buffer.alloc(0)
    const keep = (chunk: Buffer) => (output = Buffer.concat([output, chunk]).subarray(0, OUTPUT_BYTES))
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    child.on('error', (error) =>
      self.unable(`${program} can't be started: ${'code' in error ? error.code : error.message}`),
    )
    // its children may hold the pipes open; with the group gone, `close` comes with the last of the output
    child.on('exit', () => killGroup(child))
    child.on('close', (code, signal) => {
      if (code === 0) return self.pass('exit 0')
      const line = printable(output.toString().trimStart().split('\n')[0]!)
      return self.fail(`${signal === null ? `exit ${code}` : `killed by ${signal}`}${line === '' ? '' : `: ${line}`}`)
    })
    return () => {
      killGroup(child)
      child.stdout.destroy()
      child.stderr.destroy()
    }
  })
}

const environment = ({ address, port, check }: TargetOf<'exec'>): Record<string, string> => ({
  PATH,
  MERIDIAN_ADDRESS: address,
  MERIDIAN_FAMILY: String(isIP(address)),
  ...(port !== 0 && { MERIDIAN_PORT: String(port) }),
  MERIDIAN_TIMEOUT_MS: String(check.timeoutMs),
})

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // nobody left in it
  }
}
