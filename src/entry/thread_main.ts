/**
 * The module that threads start from. Importing it in any other thread does nothing.
 *
 * @module
 */

import { detectRuntime } from "../../runtime/detect.ts";
import { runThread } from "./thread.ts";

runThread(detectRuntime());
