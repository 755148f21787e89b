/**
 * The check `exec`: a program of this host judges the target. Zone files only name a command; what it runs stands in the
 * node setting `probe.exec`, so whoever writes zones can't run what he likes. No shell; it is told what to check by
 * variables, and nothing of the prober's own environment, which may hold secrets. It leads a process group of its own,
 * which is killed as a whole when the check ends, so that its children end with it. What runs is noted in shared memory,
 * so that whoever outlives this thread can end it too.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import type { Readable } from 'node:stream'
import { familyOf } from '../../dns/address.ts'
import { attempt, printable, type TargetOf } from './attempt.ts'
import { hostLacks, type Observation } from './observation.ts'

/** The node setting `probe.exec`: by name, the program and its arguments. */
export type Commands = Readonly<Record<string, readonly string[]>>

/** At most so many run at once in one thread. */
const COMMANDS_MOST = 1024
/** Leaders of the groups that run; 0 = none. */
let running = makeRunning()

export function makeRunning(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(4 * COMMANDS_MOST))
}

/** Has this thread note what it runs there. */
export function noteRunning(shared: Int32Array): void {
  running = shared
}

/** Of a thread that is gone, and ends nothing itself any more. */
export function killRunning(left: Int32Array): void {
  for (const pid of left) if (pid !== 0) killGroup(pid)
  left.fill(0)
}

/** As much of the output as is kept. The rest is read and dropped, as much as a pipe holds (64 KiB) each DROP_MS; of what has no end, seldom. */
const OUTPUT_BYTES = 4096
const DROP_MS = 20
const ENDLESS_BYTES = 2 ** 20
const ENDLESS_DROP_MS = 200
/** No program does it to itself: the kernel does, when memory is short, or whoever stops this host's services. */
const ENDED_BY_OTHERS: readonly string[] = ['SIGKILL', 'SIGTERM', 'SIGINT', 'SIGHUP']
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
