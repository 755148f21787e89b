/**
 * Runs checks of type icmp in a network namespace of the test's own: `node ping.ts JSON`, a list of lists of [address,
 * timeoutMs]; those of an inner list run at once, each list after the other. Prints the observations as JSON, and how many
 * descriptors were open after the first list and at the end.
 */
import { readdirSync } from 'node:fs'
import type { Observation } from '../../../src/probe/checks/observation.ts'
import { runCheck } from '../loopback.ts'

const timing = { intervalMs: 5000, fastMs: 1000, fall: 3, rise: 2 }
const rounds: readonly (readonly (readonly [address: string, timeoutMs: number])[])[] = JSON.parse(process.argv[2]!)
const seen: Observation[][] = []
const descriptors: number[] = []
for (const round of rounds) {
  const checks = round.map(([address, timeoutMs]) =>
    runCheck({ id: 't', address, port: 0, probers: 1, check: { type: 'icmp', port: 0, timeoutMs, ...timing } }),
  )
  seen.push(await Promise.all(checks))
  await new Promise((resolve) => setTimeout(resolve, 50)) // closing ends in the next turns of the loop
  descriptors.push(readdirSync('/proc/self/fd').length)
}
console.log(JSON.stringify({ seen, descriptors }))
