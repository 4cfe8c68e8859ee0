export const CHAPTERS = [];
