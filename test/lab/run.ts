/**
 * `npm run lab [-- [--keep] [--write] SCENE …]`: starts the lab, plays the scenes named, or all, and prints what clients saw; exit 1
 * when something is not as claimed. `--keep`: then leaves it up, and says what to try. `--write`: puts the tables into docs/lab.md.
 */
import { parseArgs } from 'node:util'
import { cpuSeconds } from '../support/cpu.ts'
import { buildProgram } from '../support/program.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { keep: { type: 'boolean' }, write: { type: 'boolean' } },
})

async function run(): Promise<number> {
  if (values.write === true && positionals.length > 0) {
    console.error('--write takes all scenes, or docs/lab.md would lack the others')
    return 2
  }
  const forget = process.env['PROGRAM_UNDER_TEST'] === undefined ? await buildProgram() : () => {}
  // the program under test is named by then
  const { Lab } = await import('./lab.ts')
  const { play, SCENES } = await import('./scenes.ts')
  const unknown = positionals.filter((name) => !SCENES.some((scene) => scene.name === name))
  if (unknown.length > 0) {
    console.error(`unknown: ${unknown.join(' ')}\nthere are: ${SCENES.map(({ name }) => name).join(' ')}`)
    forget()
    return 2
  }
  const startedMs = performance.now()
  const say = (line: string): void =>
    console.error(`${((performance.now() - startedMs) / 1_000).toFixed(1)} s: ${line}`)
  let lab: InstanceType<typeof Lab> | undefined
  let closing: Promise<void> | undefined
  const close = (): Promise<void> => (closing ??= Promise.resolve(lab?.close()).finally(forget))
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.on(signal, () => void close().then(() => process.exit(130)))
  try {
    lab = new Lab()
    await lab.start(say)
    say('all is well')
    const tables: string[] = []
    for (const scene of SCENES) {
      if (positionals.length > 0 && !positionals.includes(scene.name)) continue
      say(scene.title)
      const table = await play(lab, scene)
      tables.push(table)
      console.log(table)
    }
    say(`${tables.length} scenes as claimed`)
    if (values.write === true) (await import('./docs.ts')).writeDocs(tables)
    if (values.keep === true) {
      console.log((await import('./keep.ts')).whatToTry(lab))
      await new Promise(() => {})
    }
    return 0
  } catch (error) {
    if (closing === undefined) console.error(error instanceof Error ? error.message : error)
    return 1
  } finally {
    await close()
    say(`CPU: ${cpuSeconds(process.pid).toFixed(0)} s`) // with that of its children, which have ended
  }
}

process.exitCode = await run()
