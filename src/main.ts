/** The program: picks the command, maps its result to an exit code. The only process.exit there is. */
import { writeFileSync } from 'node:fs'
import { run } from './cli/commands.ts'
import { ConsoleOutput } from './cli/output.ts'

const FAILED = 1
const BUG = 70

const output = new ConsoleOutput()
nameProcess(process.argv.slice(2))

const untilSignal = (): Promise<void> =>
  new Promise((done) => {
    let askedAtMs: number | undefined
    for (const name of ['SIGTERM', 'SIGINT'] as const) {
      process.on(name, () => {
        // asked once more: at once. npm passes on the Ctrl-C that the terminal has sent us already: that is one
        if (askedAtMs !== undefined && performance.now() - askedAtMs > 1_000) process.exit(1)
        askedAtMs ??= performance.now()
        done()
      })
    }
  })

/** As `ps` shows it with its arguments, and `top`, `pgrep` and the kernel's log without: else it is one of many `node`s. */
function nameProcess(args: readonly string[]): void {
  process.title = ['meridian', ...args].join(' ')
  try {
    writeFileSync('/proc/self/comm', 'meridian') // the title's first 15 characters otherwise
  } catch {
    // Linux only
  }
}

async function codeOf(args: readonly string[]): Promise<number> {
  try {
    return await run(args, output, untilSignal)
  } catch (error) {
    output.err(`meridian: a bug: ${error instanceof Error ? error.stack : String(error)}`)
    return BUG
  }
}

const code = await codeOf(process.argv.slice(2))
process.exit((await output.drained()) ? code : code || FAILED)
