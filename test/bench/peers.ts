/**
 * `npm run bench -- peers`: Meridian, gdnsd and Knot DNS with the same zone and map, on the same core, in one run.
 */
export async function run(args: string[]): Promise<void> {
  await Promise.resolve(args)
  throw new Error('not written yet')
}
