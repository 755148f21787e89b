/**
 * The check `exec`: a program on this host judges the target. Zone files only name a command; the node setting
 * `probe.exec` says what it runs, so that authors of zones cannot run programs of their choice. No shell is used; the
 * program gets the target in environment variables and nothing of the prober's own environment, which may hold secrets.
 * It leads a process group of its own, which is killed when the check ends. Running groups are noted in shared memory,
 * so that they can be killed even after this thread has died.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import type { Readable } from 'node:stream'
import { familyOf } from '../../dns/address.ts'
import { attempt, printable, type TargetOf } from './attempt.ts'
import { hostLacks, type Observation } from './observation.ts'

/** The node setting `probe.exec`: by name, the program and its arguments. */
export type Commands = Readonly<Record<string, readonly string[]>>

/** Most commands that run at once in one thread. */
const COMMANDS_MOST = 1024
/** Leaders of the running process groups; 0: none. */
let running = makeRunning()

/** Shared memory for the process groups of one thread. */
export function makeRunning(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(4 * COMMANDS_MOST))
}

/** Makes this thread note its process groups there. */
export function noteRunning(shared: Int32Array): void {
  running = shared
}

/** Kills the process groups of a thread that has died. */
export function killRunning(left: Int32Array): void {
  for (const pid of left) if (pid !== 0) killGroup(pid)
  left.fill(0)
}

/**
 * Bytes of output that are kept. The rest is read and dropped, at most a pipe's content (64 KiB) each DROP_MS; endless
 * output less often.
 */
const OUTPUT_BYTES = 4096
const DROP_MS = 20
const ENDLESS_BYTES = 2 ** 20
const ENDLESS_DROP_MS = 200
/**
 * Signals that the kernel sends when memory is short, or that stop this host's services; no program sends them to
 * itself.
 */
const ENDED_BY_OTHERS: readonly string[] = ['SIGKILL', 'SIGTERM', 'SIGINT', 'SIGHUP']
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** Runs the check; exit code 0 passes. Never rejects; ends, with the program, within the check's timeout. */
export function checkExec(target: TargetOf<'exec'>, commands: Commands): Promise<Observation> {
  const { check } = target
  return attempt(check.timeoutMs, 'no end of the command', (self) => {
    const [program, ...words] = Object.hasOwn(commands, check.command) ? commands[check.command]! : []
    if (program === undefined) {
      self.unable(`probe.exec of this prober has no command ${check.command}`)
      return () => {}
    }
    const slot = running.indexOf(0)
    if (slot < 0) {
      self.unable(`this prober runs ${COMMANDS_MOST} commands already`)
      return () => {}
    }
    const child: ChildProcess = spawn(program, words, {
      cwd: '/',
      env: environment(target),
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    })
    running[slot] = child.pid ?? 0
    child.on('error', (error) => self.unable(`command ${check.command} can't be started: ${error.message}`))
    let output = Buffer.alloc(0)
    /** What it wrote on stderr: on stdout a site's own words may stand, "out of memory" for one. */
    let complaints = Buffer.alloc(0)
    self.hostFault = () => {
      const line = hostLacks(complaints.toString())
      return line && `command ${check.command} says of this host: ${printable(line)}`
    }
    let droppedBytes = 0
    const keep = (pipe: Readable) => (chunk: Buffer) => {
      if (output.length >= OUTPUT_BYTES) {
        droppedBytes += chunk.length
        pipe.pause()
        setTimeout(() => pipe.resume(), droppedBytes < ENDLESS_BYTES ? DROP_MS : ENDLESS_DROP_MS)
        return
      }
      output = Buffer.concat([output, chunk.subarray(0, OUTPUT_BYTES)])
    }
    const pipes = [child.stdout, child.stderr] // null where this host had no descriptors left for them
    child.stderr?.on('data', (chunk: Buffer) => {
      if (complaints.length < OUTPUT_BYTES) complaints = Buffer.concat([complaints, chunk.subarray(0, OUTPUT_BYTES)])
    })
    for (const pipe of pipes) pipe?.on('data', keep(pipe))
    child.on('exit', (code) => {
      killGroup(child.pid) // its children may hold the pipes open: with them gone, `close` comes with the last of the output
      running[slot] = 0
      if (code === 0) self.pass('exit 0')
    })
    child.on('close', (code, signal) => {
      const fault = self.hostFault()
      if (fault !== undefined) return self.unable(fault)
      if (signal !== null && ENDED_BY_OTHERS.includes(signal)) {
        return self.unable(`command ${check.command} was ended by ${signal}, and not by the check: is memory short?`)
      }
      const line = printable(output.toString().trimStart().split('\n')[0]!)
      self.fail(`${signal === null ? `exit ${code}` : `killed by ${signal}`}${line === '' ? '' : `: ${line}`}`)
    })
    return () => {
      const runs = child.exitCode === null && child.signalCode === null
      if (runs) killGroup(child.pid)
      for (const pipe of pipes) pipe?.destroy()
    }
  })
}

const environment = ({ address, port, check }: TargetOf<'exec'>): Record<string, string> => ({
  PATH,
  MERIDIAN_ADDRESS: address,
  MERIDIAN_FAMILY: String(familyOf(address)),
  ...(port !== 0 && { MERIDIAN_PORT: String(port) }),
  MERIDIAN_TIMEOUT_MS: String(check.timeoutMs),
})

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // nobody left in it
  }
}
