/** Tokens: made, written to a file, read from it, and told apart. */
import { expect, test } from 'vitest'
import { hashSecret, makeToken, parseTokens, tokenOf } from '../../src/api/token.ts'
import { run } from '../../src/cli/commands.ts'

const HASH = `sha256:${'0f'.repeat(32)}`

test('a token that is made is known by its secret, and by nothing else', () => {
  const made = [makeToken('ops', ['read', 'drain']), makeToken('board', ['read']), makeToken('x', ['admin'])]
  const tokens = parseTokens(`# comment\n\n${made.map(({ line }) => line).join('\n')}\n`)
  expect(made.map(({ secret }) => tokenOf(tokens, secret)?.name)).toEqual(['ops', 'board', 'x'])
  expect(tokenOf(tokens, made[0]!.secret)?.scopes).toEqual(['read', 'drain'])
  const { secret } = made[0]!
  for (const other of ['', secret.slice(0, -1), `${secret}x`, secret.toUpperCase(), made[0]!.line.split(' ')[1]!])
    expect(tokenOf(tokens, other)).toBeUndefined()
  expect(tokenOf([], secret)).toBeUndefined()
  // a hash that differs in one digit, wherever it is
  const { line } = made[0]!
  const begin = line.indexOf(':') + 1
  for (const at of [begin, begin + 31, begin + 63]) {
    const digit = line[at] === '0' ? '1' : '0'
    expect(tokenOf(parseTokens(line.slice(0, at) + digit + line.slice(at + 1)), secret)).toBeUndefined()
  }
  expect(secret).toMatch(/^meridian_[\w-]{43}$/)
  expect(made[0]!.line).not.toContain(secret.slice(9))
  expect(Buffer.from(hashSecret('abc')).toString('hex')).toBe(
    'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad', // FIPS 180-2, B.1
  )
})

test.each([
  ['ops', /^line 1: ops has no hash: sha256: and 64 hexadecimal digits$/],
  ['\nops the-secret-itself read', /^line 2: ops has no hash/],
  [`ops ${HASH}0 read`, /^line 1: ops has no hash/],
  [`ops ${HASH}`, /^line 1: ops has no scope: read, drain, force, admin$/],
  [`ops ${HASH} read write`, /^line 1: ops has a scope that there is not: read, drain, force, admin$/],
  [`ops ${HASH} read\nops ${HASH} drain`, /^line 2: ops is there twice$/],
  [`kim@ops ${HASH} read`, /^line 1: a token’s name has letters/],
  [`http.token ${HASH} read`, /^line 1: http.token is the name of the setting of that name$/],
  [
    Array.from({ length: 1001 }, (_, i) => `t${i} ${HASH} read`).join('\n'),
    /^line 1001: there are more than 1000 tokens$/,
  ],
])('a file with a fault: %#', (text, message) => {
  expect(() => parseTokens(text)).toThrow(message)
  expect(() => parseTokens(text)).not.toThrow(/secret-itself|0f0f/)
})

/** Types `meridian token`. */
async function type(...args: string[]) {
  const [out, err]: [string[], string[]] = [[], []]
  const output = { out: (line: string) => void out.push(line), err: (line: string) => void err.push(line) }
  const code = await run(['token', ...args], output, () => Promise.resolve())
  return { code, out: out.join('\n'), err: err.join('\n') }
}

test('meridian token: the secret goes to stdout, its line to stderr', async () => {
  const { code, out, err } = await type('ops', '--scopes', 'drain, read')
  expect(code).toBe(0)
  const line = err.split('\n').at(-1)!.trim()
  expect(tokenOf(parseTokens(line), out)).toMatchObject({ name: 'ops', scopes: ['read', 'drain'] })
  const json = JSON.parse((await type('ops', '--scopes', 'admin', '--json')).out)
  expect(tokenOf(parseTokens(json.line), json.secret)?.scopes).toEqual(['admin'])
  expect(await type('kim@ops', '--scopes', 'read')).toMatchObject({
    code: 2,
    err: expect.stringContaining('is no name of a token'),
  })
  expect(await type('ops', '--scopes', 'raed')).toMatchObject({
    code: 2,
    err: expect.stringContaining('Did you mean read?'),
  })
  expect(await type('ops')).toMatchObject({ code: 2, err: expect.stringContaining('--scopes') })
})
