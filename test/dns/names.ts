/** Arbitrary names for property tests. */
import fc from 'fast-check'

/** Up to 12 labels of any bytes that fit into 255 together. */
export const labels: fc.Arbitrary<Uint8Array[]> = fc
  .array(fc.uint8Array({ minLength: 1, maxLength: 63 }), { maxLength: 12 })
  .filter((parts) => parts.reduce((sum, part) => sum + 1 + part.length, 1) <= 255)

export const wireOf = (parts: readonly Uint8Array[]): Uint8Array =>
  Uint8Array.from([...parts.flatMap((part) => [part.length, ...part]), 0])
