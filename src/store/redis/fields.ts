/** Fields of a hash as Redis sends them: names and values in turn. */
import { RESERVED } from './keys.ts'

/** Field, value, field, value … */
export type Fields = readonly string[]

/** The fields without Meridian's own ones (RESERVED); a field without a value is left out. */
export function pairs(fields: Fields): (readonly [string, string])[] {
  const list: (readonly [string, string])[] = []
  for (let i = 0; i + 1 < fields.length; i += 2)
    if (!fields[i]!.startsWith(RESERVED)) list.push([fields[i]!, fields[i + 1]!])
  return list
}

/** The value of one of Meridian's own fields. */
export function fieldOf(fields: Fields, name: string): string | undefined {
  for (let i = 0; i < fields.length; i += 2) if (fields[i] === name) return fields[i + 1]
  return undefined
}
