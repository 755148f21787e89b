/** RFC 4892: a server's identity in class CH; and version.server, version.bind beside it. */
import { expect } from 'vitest'
import { rule, rules } from './world.ts'

const text = (value: string): Uint8Array => Uint8Array.of(value.length, ...Buffer.from(value))
const both = { identity: text('fra-7'), version: text('Meridian 1') }
const named = rules({ protocol: both })

named('§3.1: TXT of class CH, in any case', async ({ ask, having }) => {
  for (const [name, value] of [
    ['id.server', 'fra-7'],
    ['hostname.bind', 'fra-7'],
    ['version.server', 'Meridian 1'],
    ['version.bind', 'Meridian 1'],
    ['ID.Server', 'fra-7'],
  ]) {
    const answer = [`${name}. 0 CH TXT "${value}"`]
    await ask({ q: `${name} TXT CH`, rcode: 'NOERROR', aa: true, answer, authority: [], additional: [] })
  }
  const longest = having({ identity: text('x'.repeat(255)) })
  const answer = [`id.server. 0 CH TXT "${'x'.repeat(255)}"`]
  await longest.ask({ q: 'id.server TXT CH', rcode: 'NOERROR', answer })
})

rule('what is not set is refused, and so is everything else of the class', async ({ ask, having }) => {
  for (const q of ['id.server TXT CH', 'version.bind TXT CH']) await ask({ q, rcode: 'REFUSED', answer: [] })
  const one = having({ identity: text('fra-7') })
  await one.ask({ q: 'hostname.bind TXT CH', rcode: 'NOERROR' })
  await one.ask({ q: 'version.bind TXT CH', rcode: 'REFUSED', answer: [] })
  for (const q of ['id.server A CH', 'authors.bind TXT CH', 'x.id.server TXT CH', 'server TXT CH', '. TXT CH']) {
    await having(both).ask({ q, rcode: 'REFUSED', answer: [] })
  }
  // in class IN they are names like others
  await having(both).ask({ q: 'id.server TXT', rcode: 'REFUSED', answer: [] })
  await having(both).ask({ q: 'id.server TXT HS', rcode: 'REFUSED', answer: [] })
})

named('an ECS query gets ECS back, of scope 0', async ({ ask }) => {
  const { edns } = await ask({ q: 'id.server TXT CH', ecs: '198.51.100.0/24', rcode: 'NOERROR' })
  expect(edns!.ecs!.scope).toBe(0)
})
