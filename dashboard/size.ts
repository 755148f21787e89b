/** Size of the maps, in units of their drawings. */
export const WIDTH = 960
export const HEIGHT = 490
