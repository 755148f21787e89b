/** A hash as Redis tells it: its fields and their values in turn. */
import { RESERVED } from './keys.ts'

/** Of a hash: field, value, field, value … */
export type Fields = readonly string[]

/** Without those that are ours; a field without a value is none. */
export function pairs(fields: Fields): (readonly [string, string])[] {
  const list: (readonly [string, string])[] = []
  for (let i = 0; i + 1 < fields.length; i += 2)
    if (!fields[i]!.startsWith(RESERVED)) list.push([fields[i]!, fields[i + 1]!])
  return list
}

/** The value of one of ours. */
export function fieldOf(fields: Fields, name: string): string | undefined {
  for (let i = 0; i < fields.length; i += 2) if (fields[i] === name) return fields[i + 1]
  return undefined
}
