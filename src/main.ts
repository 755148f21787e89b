/** The program: picks the command, maps its result to an exit code. The only process.exit there is. */
import { run } from './cli/commands.ts'
import { consoleOutput } from './cli/output.ts'

const BUG = 70

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

try {
  process.exit(await run(process.argv.slice(2), consoleOutput, untilSignal))
} catch (error) {
  process.stderr.write(`meridian: a bug: ${error instanceof Error ? error.stack : String(error)}\n`)
  process.exit(BUG)
}
