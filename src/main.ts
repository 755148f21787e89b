/** The program: picks the command, maps its result to an exit code. The only process.exit there is. */
import { run } from './cli/commands.ts'
import { consoleOutput } from './cli/output.ts'

const BUG = 70

const untilSignal = (): Promise<void> =>
  new Promise((done) => {
    let asked = false
    for (const name of ['SIGTERM', 'SIGINT'] as const) {
      process.on(name, () => {
        if (asked) process.exit(1) // asked twice: at once
        asked = true
        done()
      })
    }
  })

try {
  process.exit(await run(process.argv.slice(2), consoleOutput, untilSignal))
} catch (error) {
  process.stderr.write(`meridian: a bug: ${error instanceof Error ? error.stack : String(error)}\n`)
  process.exit(BUG)
}
