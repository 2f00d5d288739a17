#!/usr/bin/env node
// A file that exists before the build, so that package managers can link the command at install.
import '../dist/qlora.js';
