/** `npm run attack [-- [--smoke] NAME …]`: runs the attacks named, or all, one after the other; exit 1 when one succeeds. */
import { parseArgs } from 'node:util'
import { shareCompiled } from '../support/compiled.ts'
import { isRoot, loadAttacks } from './attack.ts'

const { values, positionals } = parseArgs({ allowPositionals: true, options: { smoke: { type: 'boolean' } } })
const attacks = await loadAttacks()
const unknown = positionals.filter((name) => !attacks.has(name))
if (unknown.length > 0) {
  console.error(`unknown: ${unknown.join(' ')}\nthere are: ${[...attacks.keys()].join(' ')}`)
  process.exit(2)
}
const forget = shareCompiled()
const succeeded: string[] = []
for (const [name, attack] of attacks) {
  if (positionals.length > 0 && !positionals.includes(name)) continue
  console.log(`\n${name}: ${attack.tries}`)
  if (attack.needsRoot === true && !isRoot()) {
    console.log('  not run: it needs root')
    continue
  }
  const startedMs = performance.now()
  try {
    await attack.run(values.smoke === true ? 'smoke' : 'full', (line) => console.log(`  ${line}`))
    console.log(`  held, after ${((performance.now() - startedMs) / 1000).toFixed(1)} s`)
  } catch (error) {
    succeeded.push(name)
    console.log(`  THE ATTACK SUCCEEDED: ${error instanceof Error ? error.message : String(error)}`)
  }
}
console.log(succeeded.length === 0 ? '\nall held' : `\nsucceeded: ${succeeded.join(' ')}`)
forget()
process.exit(succeeded.length === 0 ? 0 : 1)
