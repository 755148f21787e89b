/** Signed messages for tests: a query with a TSIG record, and what the TSIG record of a response says. */
import { readTsig, sign, type Tsig, tsigBytes, type TsigKey, unsigned, verify } from '../../src/dns/tsig.ts'

/** A key of 32 bytes, or the hash's length. `name`: one label. */
export const testKey = (name: string, algorithm: TsigKey['algorithm'] = 'hmac-sha256', fill = 7): TsigKey => ({
  name: Uint8Array.of(name.length, ...Buffer.from(name), 0),
  algorithm,
  secret: new Uint8Array(algorithm === 'hmac-sha256' ? 32 : 64).fill(fill),
})

/** The query, signed at a Unix time. */
export function signQuery(query: Uint8Array, key: TsigKey, nowSeconds: number): { wire: Uint8Array; mac: Uint8Array } {
  const out = new Uint8Array(query.length + tsigBytes(key))
  out.set(query)
  const { size, mac } = sign(out, 0, query.length, { key, nowSeconds })
  return { wire: out.slice(0, size), mac }
}

/** The TSIG record that ends a message whose key this is; undefined: it has none. */
export function signatureOf(message: Uint8Array, key: Pick<TsigKey, 'name'>): Tsig | undefined {
  const at = Buffer.from(message).lastIndexOf(Buffer.from(key.name))
  return at < 12 ? undefined : readTsig(message, at)
}

/** What verify() says of a response to a query with this MAC: 0 = it is good. `atSeconds`: the time of its receiver. */
export function faultOf(response: Uint8Array, key: TsigKey, mac: Uint8Array, atSeconds: number): number | undefined {
  const tsig = signatureOf(response, key)
  return tsig && verify(unsigned(response, tsig), tsig, key, atSeconds, mac)
}
