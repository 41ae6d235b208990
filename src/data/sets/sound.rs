//! Sounds.

use crate::{Error, Result, archive::write_atomically, data::Continuous, random::Seed};
use rand::RngExt;
use rand_distr::StandardNormal;
use std::{io, path::Path};

/// A sound of one channel: samples in −1 to 1, so many a second.
///
/// ```
/// # use limbeck::data::Sound;
/// let sound = Sound::new((0..800).map(|i| (0.3 * f64::from(i)).sin()).collect(), 8000)?;
/// assert_eq!(sound.seconds(), 0.1);
/// # Ok::<(), limbeck::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Sound {
    samples: Vec<f64>,
    rate: u32,
}

impl Sound {
    /// # Errors
    /// When there is no sample, one is outside −1 to 1, or the rate is 0.
    pub fn new(samples: Vec<f64>, rate: u32) -> Result<Self> {
        if samples.is_empty() || rate == 0 {
            return Err(Error::invalid(format!("a sound of {} samples at {rate} a second", samples.len())));
        }
        if let Some(i) = samples.iter().position(|x| !(-1.0..=1.0).contains(x)) {
            return Err(Error::invalid(format!("sample {i}: {} is outside −1 to 1", samples[i])));
        }
        Ok(Self { samples, rate })
    }

    /// Reads a WAV file of whole numbers or floats; of several channels the mean is taken.
    ///
    /// # Errors
    /// When it cannot be read, is damaged, or has no sample.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let problem = |e: hound::Error| match e {
            hound::Error::IoError(e) => Error::io(path)(e),
            e => Error::file(path, e),
        };
        let mut reader = hound::WavReader::open(path).map_err(problem)?;
        let hound::WavSpec { channels, sample_rate, bits_per_sample, sample_format } = reader.spec();
        let values: Vec<f64> = match sample_format {
            hound::SampleFormat::Int => {
                let scale = 0.5_f64.powi(i32::from(bits_per_sample) - 1);
                let samples = reader.samples::<i32>().map(|x| x.map(|x| f64::from(x) * scale));
                samples.collect::<std::result::Result<_, _>>().map_err(problem)?
            }
            hound::SampleFormat::Float => {
                let samples = reader.samples::<f32>().map(|x| x.map(f64::from));
                samples.collect::<std::result::Result<_, _>>().map_err(problem)?
            }
        };
        let channels = usize::from(channels.max(1));
        let mean = |frame: &[f64]| frame.iter().sum::<f64>() / channels as f64;
        Self::new(values.chunks_exact(channels).map(mean).collect(), sample_rate).map_err(|e| Error::file(path, e))
    }

    /// Writes a WAV file of 16 bits.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let format = hound::SampleFormat::Int;
        let spec = hound::WavSpec { channels: 1, sample_rate: self.rate, bits_per_sample: 16, sample_format: format };
        let mut bytes = io::Cursor::new(Vec::new());
        let mut writer = hound::WavWriter::new(&mut bytes, spec).map_err(|e| Error::file(path, e))?;
        for x in &self.samples {
            writer.write_sample((x * f64::from(i16::MAX)).round() as i16).map_err(|e| Error::file(path, e))?;
        }
        writer.finalize().map_err(|e| Error::file(path, e))?;
        write_atomically(path, |file| io::Write::write_all(file, bytes.get_ref()))
    }

    /// The samples.
    pub fn samples(&self) -> &[f64] {
        &self.samples
    }

    /// Samples a second.
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// How long it is.
    pub fn seconds(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.rate)
    }

    /// The same with normal noise of that deviation, cut at −1 and 1: what is whole numbers of 16 bits has a density then.
    pub fn with_noise(&self, deviation: f64, seed: Seed) -> Self {
        let mut rng = seed.stream("noise", 0);
        let mut noisy = |x: &f64| (x + deviation * rng.sample::<f64, _>(StandardNormal)).clamp(-1.0, 1.0);
        Self { samples: self.samples.iter().map(&mut noisy).collect(), rate: self.rate }
    }

    /// Pieces of `length` samples, one every `step`: rows for a flow, whose columns are moments.
    ///
    /// # Errors
    /// When a number is 0, or the sound is shorter than a piece.
    pub fn pieces(&self, length: usize, step: usize) -> Result<Continuous> {
        if length == 0 || step == 0 || length > self.samples.len() {
            let sound = format!("a sound of {} samples", self.samples.len());
            return Err(Error::invalid(format!("{sound} has no pieces of {length}, one every {step}")));
        }
        let rows = self.samples.windows(length).step_by(step);
        Continuous::new((0..length).map(|t| format!("t{t}")).collect(), rows.flatten().copied().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::shipped;

    #[test]
    fn a_sound_is_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sound.wav");
        let sound = shipped::sound("bell").unwrap();
        sound.save(&path).unwrap();
        let again = Sound::load(&path).unwrap();
        assert_eq!((again.rate(), again.samples().len()), (8000, 1116));
        assert!(again.samples().iter().zip(sound.samples()).all(|(a, b)| (a - b).abs() < 1e-4));
        let spec = hound::WavSpec {
            channels: 2,
            sample_rate: 44_100,
            bits_per_sample: 32,
            sample_format: hound::SampleFormat::Float,
        };
        let mut writer = hound::WavWriter::create(&path, spec).unwrap();
        [0.5_f32, 0.25, -1.0, 0.5].into_iter().for_each(|x| writer.write_sample(x).unwrap());
        writer.finalize().unwrap();
        assert_eq!(Sound::load(&path).unwrap().samples(), [0.375, -0.25]);
        std::fs::write(&path, b"RIFF, or so").unwrap();
        assert!(matches!(Sound::load(&path), Err(Error::File { .. } | Error::Io { .. })));
        assert!(Sound::load(folder.path().join("none.wav")).is_err());
    }

    #[test]
    fn pieces_overlap_by_what_is_left_of_a_step() {
        let sound = Sound::new(vec![0.0, 0.1, 0.2, 0.3, 0.4], 10).unwrap();
        let pieces = sound.pieces(3, 2).unwrap();
        assert_eq!((pieces.len(), pieces.row(1)), (2, &[0.2, 0.3, 0.4][..]));
        assert!(sound.pieces(6, 1).is_err() && Sound::new(vec![1.5], 10).is_err());
        assert!(sound.with_noise(0.01, Seed(1)) != sound);
    }
}
