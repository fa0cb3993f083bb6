// The files of the test's site, made when the test runs: nothing binary is committed.

import { execFileSync } from 'node:child_process';
import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const FONT = '/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf';

/** Writes a page with a picture, a drawing, a web font and a film of 30 seconds into `folder`. */
export function makeSite(folder) {
  ffmpeg('-f', 'lavfi', '-i', 'testsrc=size=320x200', '-frames:v', '1', join(folder, 'picture.png'));
  // Noise does not compress, so that the film is too long to be fetched whole before the seek.
  ffmpeg('-f', 'lavfi', '-i', 'testsrc=size=320x240:rate=10:duration=30', '-vf', 'noise=alls=60:allf=t',
    '-c:v', 'libvpx', '-b:v', '8M', '-deadline', 'realtime', '-cpu-used', '8', '-g', '10', join(folder, 'film.webm'));
  copyFileSync(FONT, join(folder, 'letters.ttf'));
  execFileSync('woff2_compress', [join(folder, 'letters.ttf')], { stdio: 'ignore' });
  writeFileSync(join(folder, 'drawing.svg'), DRAWING);
  writeFileSync(join(folder, 'style.css'), STYLE);
  writeFileSync(join(folder, 'script.mjs'), SCRIPT);
  writeFileSync(join(folder, 'index.html'), PAGE);
}

function ffmpeg(...options) {
  execFileSync('ffmpeg', ['-loglevel', 'error', '-y', ...options], { stdio: ['ignore', 'ignore', 'inherit'] });
}

const DRAWING = `<svg xmlns="http://www.w3.org/2000/svg" width="120" height="80">
  <rect width="120" height="80" fill="#5b4bb7"/><circle cx="60" cy="40" r="25" fill="#f3e9b5"/></svg>`;

const STYLE = `@font-face { font-family: Letters; src: url(letters.woff2) format('woff2'); }
h1 { font-family: Letters, monospace; color: rgb(91, 75, 183); }`;

const SCRIPT = `document.querySelector('#script').textContent = 'The module ran.';`;

const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>A site</title>
<link rel="icon" href="drawing.svg">
<link rel="stylesheet" href="style.css">
<h1>A site with everything</h1>
<p id="script"></p>
<img id="picture" src="picture.png" alt="">
<img id="drawing" src="drawing.svg" alt="">
<video id="film" src="film.webm" preload="metadata" muted></video>
<script type="module" src="script.mjs"></script>
</html>
`;
